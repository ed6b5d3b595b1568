#!/usr/bin/env bash
# Everything that must hold before a change lands. On a fresh machine with Rust this is the only command: it installs what
# the tests need (PostgreSQL, Redis, Python packages, Node, more servers; see examples/flask-shop/setup.sh and tests/presets/setup.sh),
# then checks format and lints and runs all tests. A test that lacks something fails here instead of being skipped.
#
# Runs as root, or as a user with sudo; never asks.
set -euo pipefail
exec </dev/null
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'tests/run.sh: %s\n' "$*" >&2; exit 1; }

# Without HOME (cron, some CI) cargo and rustup look where the user database says; so does this script.
if [ -z "${HOME:-}" ]; then
    unset HOME
    HOME=$(cd ~ && pwd) || fail "there is no home folder: set HOME, or CARGO_HOME and RUSTUP_HOME"
    export HOME
fi
command -v cargo >/dev/null || PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
command -v cargo >/dev/null || fail "cargo is not installed: see https://rustup.rs"
# A minimal toolchain comes without these two.
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

say "what the tests need"
examples/flask-shop/setup.sh
tests/setup.sh
examples/passing/setup.sh
tests/presets/setup.sh
tests/debug/setup.sh

say "format"
cargo fmt --check
cargo fmt --check --manifest-path examples/notes/Cargo.toml

say "lints"
cargo clippy --quiet --all-targets -- -D warnings
cargo clippy --quiet --all-targets --manifest-path examples/notes/Cargo.toml -- -D warnings

say "tests"
cargo test --quiet --manifest-path examples/notes/Cargo.toml
# More random scripts for the engine, a longer chaos, larger floods and more races for ports than on a desk.
DEVSTACK_REQUIRE_ALL=1 DEVSTACK_RANDOM_STEPS=4000000 DEVSTACK_CHAOS_SECONDS=60 DEVSTACK_CLIENTS_ROUNDS=400 DEVSTACK_RACES=500 DEVSTACK_FLOOD_LINES=20000 \
    DEVSTACK_CRASH_ROUNDS=100 DEVSTACK_ENDLESS_BYTES=1000000000 cargo test

say "all good"
