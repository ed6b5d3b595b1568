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
    cargo fmt --all --manifest-path examples/workspace/Cargo.toml

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

# Licenses, bans and sources of all dependencies.
deny:
    cargo deny --locked check licenses bans sources

# Known vulnerabilities in dependencies, from the advisory database.
advisories:
    cargo deny --locked check advisories

# Dependencies that nothing uses.
unused:
    cargo rustc --quiet --locked --lib --profile check -- -D unused-crate-dependencies

# Does it still compile with the oldest Rust? Needs: rustup toolchain install 1.89
check-msrv:
    cargo +1.89 check --locked --target-dir target/msrv

# Does it still compile for macOS? Needs: rustup target add aarch64-apple-darwin
check-macos:
    cargo check --locked --target aarch64-apple-darwin --all-targets

# Benchmarks, or those whose name contains FILTER.
bench FILTER='':
    cargo bench {{ FILTER }}

# Fuzzes TARGET for SECONDS; `cargo fuzz list` names the targets. Needs: cargo install cargo-fuzz
fuzz TARGET SECONDS='60':
    mkdir -p fuzz/corpus/{{ TARGET }} fuzz/seeds/{{ TARGET }}
    cargo fuzz run --dev --sanitizer none {{ TARGET }} fuzz/corpus/{{ TARGET }} fuzz/seeds/{{ TARGET }} -- -max_total_time={{ SECONDS }} -len_control=0

# Writes what is generated from the program: schema, completions and manual pages in docs/.
generate:
    DEVSTACK_UPDATE_DOCS=1 cargo test --test main docs::

# Installs devstack for this user.
install:
    cargo install --locked --path .
