#!/usr/bin/env bash
# Installs what single tests need with apt-get (Linux only): `ip` for network namespaces, shells for completions, `man`, vim and
# git, tmux as a terminal, Python's YAML parser, and container engines. Safe to run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly NAME=setup
. tests/setup_steps.sh

[ "$(uname)" = Linux ] || exit 0
declare -A package=([ip]=iproute2 [zsh]=zsh [fish]=fish [man]=man-db [vim]=vim [git]=git [tmux]=tmux)
missing=()
for program in "${!package[@]}"; do
    command -v "$program" >/dev/null 2>&1 || missing+=("${package[$program]}")
done
# Docker and Podman, of which tests start their own. crun does not work where control groups are of both versions.
declare -A engine=([dockerd]=docker.io [docker]=docker.io [docker-compose]=docker-compose [podman]=podman [runc]=runc [conmon]=conmon [iptables]=iptables [busybox]=busybox-static)
for program in "${!engine[@]}"; do
    command -v "$program" >/dev/null 2>&1 || [ -x "/usr/sbin/$program" ] || missing+=("${engine[$program]}")
done
if [[ " ${missing[*]} " == *" podman "* ]]; then
    missing+=(netavark aardvark-dns slirp4netns uidmap catatonit)
fi
# For the test of action.yml.
if command -v python3 >/dev/null 2>&1 && ! python3 -c 'import yaml' 2>/dev/null; then
    missing+=(python3-yaml)
fi
[ "${#missing[@]}" -gt 0 ] || exit 0
command -v apt-get >/dev/null 2>&1 || fail "install ${missing[*]} first (this script knows apt-get)"
apt_packages "${missing[@]}"
