#!/usr/bin/env bash
# Installs what the tests of debug mode need and is missing: gdb and gdbserver with apt-get (not on macOS, where gdb may
# attach to nothing), and debugpy with Flask into target/debuggers. Python and Node come with examples/flask-shop/setup.sh.
# Safe to run again, and quick when all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly NAME=debuggers
. tests/setup_steps.sh

packages=()
for program in gdb gdbserver; do
    command -v "$program" >/dev/null || packages+=("$program")
done
if [ "${#packages[@]}" != 0 ] && command -v apt-get >/dev/null; then
    apt_packages "${packages[@]}"
fi
python_packages "debugpy and Flask" tests/debug/requirements.txt 'debugpy, flask'
say "all there"
