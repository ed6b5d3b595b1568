#!/usr/bin/env bash
# Installs what the tests of debug mode need and is missing: gdb and gdbserver with apt-get (not on macOS, where gdb may
# attach to nothing), and debugpy with Flask into target/debuggers. Python and Node come with examples/flask-shop/setup.sh.
# Safe to run again, and quick when all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf 'debuggers: %s\n' "$*"; }
fail() { printf 'debuggers: %s\n' "$*" >&2; exit 1; }

packages=()
for program in gdb gdbserver; do
    command -v "$program" >/dev/null || packages+=("$program")
done
if [ "${#packages[@]}" != 0 ] && command -v apt-get >/dev/null; then
    say "installing ${packages[*]} with apt-get"
    if [ "$(id -u)" = 0 ]; then sudo=()
    elif [ -t 0 ]; then sudo=(sudo)
    else sudo=(sudo -n)
    fi
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    get() { ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null; }
    get --no-install-recommends install "${packages[@]}" || {
        get update || { cat "$log" >&2; fail "apt-get update failed: is this machine offline, or root not to be had?"; }
        get --no-install-recommends install "${packages[@]}" || { cat "$log" >&2; fail "apt-get install failed"; }
    }
fi

# A stamp with what was installed, written last: an interrupted installation is done again.
readonly PLACE=target/debuggers
mkdir -p "$PLACE"
if ! { cmp -s tests/debug/requirements.txt "$PLACE/.venv/installed" && "$PLACE/.venv/bin/python" -c 'import debugpy, flask' 2>/dev/null; }; then
    say "installing debugpy and Flask into $PLACE/.venv"
    python3 -m venv --clear "$PLACE/.venv" || fail "python3 with venv is missing: run examples/flask-shop/setup.sh first"
    "$PLACE/.venv/bin/pip" install --quiet --disable-pip-version-check --requirement tests/debug/requirements.txt </dev/null ||
        fail "pip could not install requirements.txt: is this machine offline?"
    cp tests/debug/requirements.txt "$PLACE/.venv/installed"
fi
say "all there"
