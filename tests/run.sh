#!/usr/bin/env bash
# Everything that must hold before a change lands. On a fresh machine with Rust this is the only command: it installs what
# the tests need (PostgreSQL, Redis, Python packages, Node, more servers; see examples/flask-shop/setup.sh and tests/presets/setup.sh),
# then checks the code and runs all tests. A test that lacks something fails here instead of being skipped.
#
# Some checks need a tool or toolchain that not every machine can get. They say why they are skipped.
# DEVSTACK_CI_TOOLS=1 installs the tools that take minutes to compile; it is the default where CI=true.
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
    HOME=$(cd ~ && pwd) || fail "no home directory: set HOME, or CARGO_HOME and RUSTUP_HOME"
    export HOME
fi
command -v cargo >/dev/null || PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
command -v cargo >/dev/null || fail "cargo is not installed: see https://rustup.rs"
# A minimal toolchain comes without these two.
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

# A checkout that is used once has no second build: what helps one only takes space.
if [ "${CI:-}" = true ]; then
    export CARGO_INCREMENTAL=0
    unneeded() { rm -rf "$@"; }
else
    unneeded() { :; }
fi
built=${CARGO_TARGET_DIR:-target}
space() { df -Ph . | awk 'NR == 2 { print "disk: " $4 " free" }'; }

say "what the tests need"
space
examples/flask-shop/setup.sh
tests/setup.sh
examples/passing/setup.sh
tests/presets/setup.sh
tests/debug/setup.sh
tests/export/setup.sh
tests/agents/setup.sh
tests/dashboard/setup.sh

say "format"
cargo fmt --check
cargo fmt --check --manifest-path examples/notes/Cargo.toml
cargo fmt --check --all --manifest-path examples/workspace/Cargo.toml

say "lints"
cargo clippy --quiet --all-targets -- -D warnings
cargo clippy --quiet --all-targets --manifest-path examples/notes/Cargo.toml -- -D warnings
cargo clippy --quiet --all-targets --manifest-path examples/workspace/Cargo.toml -- -D warnings

say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --no-deps --document-private-items
unneeded "$built/doc"

say "unused dependencies"
# The compiler knows best. It asks this of one target at a time, and the program is all in the library.
cargo rustc --quiet --locked --lib --profile check -- -D unused-crate-dependencies

say "installer"
packaging/test.sh

# Runs a command for at most so many seconds, where there is `timeout`.
within() { if command -v timeout >/dev/null; then timeout "$@"; else "${@:2}"; fi; }
skip() { printf 'skipped: %s\n' "$*"; }
[ "${CI:-}" != true ] || : "${DEVSTACK_CI_TOOLS:=1}"

# Is this toolchain there, or can rustup install it?
toolchain() {
    command -v rustup >/dev/null || { skip "rustup is not installed"; return 1; }
    [[ $'\n'$(rustup toolchain list) == *$'\n'"$1"-* ]] && return
    within 300 rustup toolchain install "$1" --profile minimal --no-self-update >/dev/null 2>&1 ||
        { skip "rustup cannot install the toolchain $1"; return 1; }
}

# Is this subcommand of cargo there? Installs it if that is wanted.
subcommand() {
    cargo "$1" --version >/dev/null 2>&1 && return
    [ "${DEVSTACK_CI_TOOLS:-}" = 1 ] || { skip "cargo-$1 is not installed; DEVSTACK_CI_TOOLS=1 installs it"; return 1; }
    within 900 cargo install --quiet --locked "cargo-$1" || { skip "cargo-$1 cannot be installed"; return 1; }
}

say "licenses, bans and sources of dependencies"
# Advisories are not here: they come from the network and change every day. The workflow `ci` looks at them.
if subcommand deny; then
    cargo deny --locked --log-level error check licenses bans sources
fi

msrv=$(sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' Cargo.toml)
say "the oldest Rust: $msrv"
if toolchain "$msrv"; then
    cargo "+$msrv" check --quiet --locked --target-dir "$built/msrv"
    unneeded "$built/msrv"
fi

say "macOS"
if [ "$(uname)" = Darwin ]; then
    skip "this is macOS"
elif within 300 rustup target add aarch64-apple-darwin >/dev/null 2>&1; then
    # A dependency compiles C, for which this machine has no compiler. Only Rust is checked, so nothing is missing.
    CC_aarch64_apple_darwin=true AR_aarch64_apple_darwin=true cargo check --quiet --locked --target aarch64-apple-darwin --all-targets
    unneeded "$built/aarch64-apple-darwin"
else
    skip "rustup cannot install the target aarch64-apple-darwin"
fi

say "fuzzing"
# One minute for all targets together, plus the time to compile them. No sanitizer, which would need a nightly toolchain:
# what is fuzzed is safe code, and a panic is the finding.
if [ ! -e fuzz/Cargo.toml ]; then
    skip "there is no fuzz/"
elif subcommand fuzz; then
    targets=$(cargo fuzz list)
    seconds=$((60 / $(wc -w <<<"${targets:?cargo fuzz list names no target}") + 1))
    log=$(mktemp)
    cargo fuzz build --dev --sanitizer none >"$log" 2>&1 || { cat "$log" >&2; fail "fuzz/ does not compile"; }
    for target in $targets; do
        mkdir -p "fuzz/corpus/$target" "fuzz/seeds/$target"
        cargo fuzz run --dev --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
            -max_total_time="$seconds" -len_control=0 >"$log" 2>&1 ||
            { cat "$log" >&2; fail "the fuzz target $target failed"; }
        sed -n "s/^Done /$target: /p" "$log"
    done
    rm "$log"
    unneeded fuzz/target
fi

say "benchmarks"
# Only whether they compile; optimizing takes minutes.
cargo bench --quiet --locked --profile dev --no-run

say "tests"
space
cargo test --quiet --manifest-path examples/notes/Cargo.toml
# More random scripts for the engine, a longer chaos, larger floods and more races for ports than on a desk.
DEVSTACK_REQUIRE_ALL=1 DEVSTACK_RANDOM_STEPS=2000000 DEVSTACK_CHAOS_SECONDS=60 DEVSTACK_CLIENTS_ROUNDS=400 DEVSTACK_RACES=500 DEVSTACK_FLOOD_LINES=20000 \
    DEVSTACK_CRASH_ROUNDS=100 DEVSTACK_CONTAINER_RESTARTS=50 DEVSTACK_CONTAINER_KILLS=20 DEVSTACK_ENDLESS_BYTES=400000000 cargo test

say "all good"
