//! The `devstack` program. Everything is in the library.

fn main() {
    devstack::process::exit(devstack::cli::main().0);
}
