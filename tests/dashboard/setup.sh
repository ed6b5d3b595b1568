#!/usr/bin/env bash
# Installs what the test of the dashboard's page needs and is missing: Chromium with apt-get (Linux only), and Playwright
# with axe into target/dashboard. No browser is downloaded otherwise. Python comes with examples/flask-shop/setup.sh.
# Safe to run again, and quick when all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf 'dashboard: %s\n' "$*"; }
fail() { printf 'dashboard: %s\n' "$*" >&2; exit 1; }

# On Ubuntu the package is a snap, which cannot be driven; its machines in CI have a Chrome.
if ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null && command -v apt-get >/dev/null; then
    say "installing chromium with apt-get"
    if [ "$(id -u)" = 0 ]; then sudo=()
    elif [ -t 0 ]; then sudo=(sudo)
    else sudo=(sudo -n)
    fi
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    get() { ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null; }
    get --no-install-recommends install chromium fonts-dejavu-core || {
        get update || { cat "$log" >&2; fail "apt-get update failed: is this machine offline, or root not to be had?"; }
        get --no-install-recommends install chromium fonts-dejavu-core || { cat "$log" >&2; fail "apt-get install failed"; }
    }
fi

# A stamp with what was installed, written last: an interrupted installation is done again.
readonly PLACE=target/dashboard
mkdir -p "$PLACE"
if ! { cmp -s tests/dashboard/requirements.txt "$PLACE/.venv/installed" && "$PLACE/.venv/bin/python" -c 'import playwright, axe_playwright_python' 2>/dev/null; }; then
    say "installing Playwright and axe into $PLACE/.venv"
    python3 -m venv --clear "$PLACE/.venv" || fail "python3 with venv is missing: run examples/flask-shop/setup.sh first"
    "$PLACE/.venv/bin/pip" install --quiet --disable-pip-version-check --requirement tests/dashboard/requirements.txt </dev/null ||
        fail "pip could not install requirements.txt: is this machine offline?"
    cp tests/dashboard/requirements.txt "$PLACE/.venv/installed"
fi
say "all there"
