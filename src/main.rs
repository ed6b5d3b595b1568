//! The `devstack` program.
fn main() {}
