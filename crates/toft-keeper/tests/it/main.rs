//! Real keepers over their lifelines.
fn main() {}
