#!/usr/bin/env bash
# Installs what judges the exports and is missing: systemd-analyze with apt-get (Linux only), and validators for Compose,
# Kubernetes and Procfiles into target/export. Python comes with examples/flask-shop/setup.sh.
# Safe to run again, and quick when all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf 'export: %s\n' "$*"; }
fail() { printf 'export: %s\n' "$*" >&2; exit 1; }

if ! command -v systemd-analyze >/dev/null && command -v apt-get >/dev/null; then
    say "installing systemd with apt-get"
    if [ "$(id -u)" = 0 ]; then sudo=()
    elif [ -t 0 ]; then sudo=(sudo)
    else sudo=(sudo -n)
    fi
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    get() { ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null; }
    get --no-install-recommends install systemd || {
        get update || { cat "$log" >&2; fail "apt-get update failed: is this machine offline, or root not to be had?"; }
        get --no-install-recommends install systemd || { cat "$log" >&2; fail "apt-get install failed"; }
    }
fi

# A stamp with what was installed, written last: an interrupted installation is done again.
readonly PLACE=target/export
mkdir -p "$PLACE"
if ! { cmp -s tests/export/requirements.txt "$PLACE/.venv/installed" && "$PLACE/.venv/bin/python" -c 'import honcho, yaml' 2>/dev/null; }; then
    say "installing validators into $PLACE/.venv"
    python3 -m venv --clear "$PLACE/.venv" || fail "python3 with venv is missing: run examples/flask-shop/setup.sh first"
    "$PLACE/.venv/bin/pip" install --quiet --disable-pip-version-check --requirement tests/export/requirements.txt </dev/null ||
        fail "pip could not install requirements.txt: is this machine offline?"
    cp tests/export/requirements.txt "$PLACE/.venv/installed"
fi
say "all there"
