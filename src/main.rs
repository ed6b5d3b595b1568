//! The `devstack` program. Everything is in the library.

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where devstack ends; everything was torn down before"
)]
fn main() {
    std::process::exit(devstack::cli::main());
}
