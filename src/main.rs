//! The `devstack` program. Everything is in the library.

#[expect(
    clippy::disallowed_methods,
    reason = "the only exit of the program, after everything was torn down"
)]
fn main() {
    std::process::exit(devstack::cli::main().0);
}
