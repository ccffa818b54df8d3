//! ovs
fn main() {}
