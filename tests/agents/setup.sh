#!/usr/bin/env bash
# Installs the official Python client of the Model Context Protocol, which judges `devstack mcp`, and a validator of JSON
# Schema into target/agents. Python comes with examples/flask-shop/setup.sh. Safe to run again, and quick when all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly NAME=agents
. tests/setup_steps.sh

python_packages "the Python client" tests/agents/requirements.txt 'jsonschema, mcp'
say "all there"
