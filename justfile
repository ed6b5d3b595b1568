# What people do here often. `just` lists it.

_default:
    @just --list --unsorted

# Is it still right? Fast: no tests.
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# The tests that this machine can run, or those whose name contains FILTER.
test FILTER='':
    cargo test {{ FILTER }}

# Everything, as CI does it; installs what is missing.
ci:
    .ci/run

# Formats all sources.
fmt:
    cargo fmt
    cargo fmt --manifest-path examples/notes/Cargo.toml

# The notes example, with this devstack.
up *ARGS:
    cargo run --quiet -- up {{ ARGS }}

# The flask-shop example, with this devstack.
shop *ARGS:
    examples/flask-shop/setup.sh
    cargo run --quiet -- -f examples/flask-shop/devstack.toml up {{ ARGS }}

# The documentation of the library; its first page is the architecture.
doc:
    cargo doc --no-deps --document-private-items --open

# Licences, bans and sources of all dependencies.
deny:
    cargo deny check licenses bans sources

# Does it still compile for macOS? Needs: rustup target add aarch64-apple-darwin
check-macos:
    cargo check --target aarch64-apple-darwin

# Installs devstack for this user.
install:
    cargo install --locked --path .
