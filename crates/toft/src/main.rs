//! toft
fn main() {}
