#!/usr/bin/env bash
# Installs what this stack needs and is missing: gunicorn and uvicorn, into .venv. Python and Node come with
# ../flask-shop/setup.sh, which installs them where they are missing. Safe to run again, and quick when all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

command -v node >/dev/null || fail "node is missing: run ../flask-shop/setup.sh first"
# A stamp with what was installed, written last: an interrupted installation is done again. And one whose directory was moved:
# its scripts name the old one.
works() { .venv/bin/gunicorn --version && .venv/bin/uvicorn --version; }
if ! { cmp -s requirements.txt .venv/installed && works >/dev/null 2>&1; }; then
    say "installing gunicorn and uvicorn into .venv"
    python3 -m venv --clear .venv || fail "python3 with venv is missing: run ../flask-shop/setup.sh first"
    .venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt </dev/null ||
        fail "pip could not install requirements.txt: is this machine offline?"
    cp requirements.txt .venv/installed
fi
say "all there; start it with: devstack up"
