//! The `devstack` program. Everything is in the library.

fn main() {
    std::process::exit(devstack::cli::main());
}
