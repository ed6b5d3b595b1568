#!/usr/bin/env bash
# Installs what the tests in network namespaces need: `ip`. On Linux only; safe to run again.
set -euo pipefail

[ "$(uname)" = Linux ] || exit 0
command -v ip >/dev/null 2>&1 && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: install iproute2 first (this script knows apt-get)" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then sudo=(); else sudo=(sudo -n); fi
install() {
    ${sudo[@]+"${sudo[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 "$@" </dev/null >/dev/null
}
echo "setup: installing iproute2 with apt-get"
install --no-install-recommends install iproute2 || { install update && install --no-install-recommends install iproute2; }
