//! Knows a greeting.

/// Change this while the stack runs, and save.
const GREETING: &str = "hello from a workspace";

fn main() -> std::io::Result<()> {
    web::serve(|| GREETING.to_owned())
}
