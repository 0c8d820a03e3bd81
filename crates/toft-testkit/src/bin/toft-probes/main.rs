//! toft-probes
fn main() {}
