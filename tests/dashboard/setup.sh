#!/usr/bin/env bash
# Installs what the test of the dashboard's page needs and is missing: Chromium with apt-get (Linux only), and Playwright
# with axe into target/dashboard. No browser is downloaded otherwise. Python comes with examples/flask-shop/setup.sh.
# Safe to run again, and quick when all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly NAME=dashboard
. tests/setup_steps.sh

# On Ubuntu the package is a snap, which cannot be driven; its machines in CI have a Chrome.
if ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null && command -v apt-get >/dev/null; then
    apt_packages chromium fonts-dejavu-core
fi
python_packages "Playwright and axe" tests/dashboard/requirements.txt 'playwright, axe_playwright_python'
say "all there"
