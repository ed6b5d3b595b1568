#!/usr/bin/env bash
# Installs the official Python client of the Model Context Protocol, which judges `devstack mcp`, and a validator of JSON
# Schema into target/agents. Python comes with examples/flask-shop/setup.sh. Safe to run again, and quick when all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf 'agents: %s\n' "$*"; }
fail() { printf 'agents: %s\n' "$*" >&2; exit 1; }

# A stamp with what was installed, written last: an interrupted installation is done again.
readonly PLACE=target/agents
mkdir -p "$PLACE"
if ! { cmp -s tests/agents/requirements.txt "$PLACE/.venv/installed" && "$PLACE/.venv/bin/python" -c 'import jsonschema, mcp' 2>/dev/null; }; then
    say "installing the Python client into $PLACE/.venv"
    python3 -m venv --clear "$PLACE/.venv" || fail "python3 with venv is missing: run examples/flask-shop/setup.sh first"
    "$PLACE/.venv/bin/pip" install --quiet --disable-pip-version-check --requirement tests/agents/requirements.txt </dev/null ||
        fail "pip could not install requirements.txt: is this machine offline?"
    cp tests/agents/requirements.txt "$PLACE/.venv/installed"
fi
say "all there"
