#!/usr/bin/env bash
# Installs what judges the exports and is missing: systemd-analyze with apt-get (Linux only), and validators for Compose,
# Kubernetes and Procfiles into target/export. Python comes with examples/flask-shop/setup.sh.
# Safe to run again, and quick when all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly NAME=export
. tests/setup_steps.sh

if ! command -v systemd-analyze >/dev/null && command -v apt-get >/dev/null; then
    apt_packages systemd
fi
python_packages validators tests/export/requirements.txt 'honcho, yaml'
say "all there"
