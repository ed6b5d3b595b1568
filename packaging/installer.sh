#!/usr/bin/env bash
# Completes a release: writes SHA256SUMS and install.sh beside the archives in DIR. URL is where they will be published.
#
#   packaging/installer.sh DIR URL
set -euo pipefail

[ $# = 2 ] || { echo "usage: packaging/installer.sh DIR URL" >&2; exit 2; }
dir=$1 url=$2
template=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/install.sh
sha256() { if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }

cd "$dir"
sha256 devstack-*.tar.gz >SHA256SUMS
sed -e "s|^url=''\$|url='$url'|" -e "/^checksums='\$/r SHA256SUMS" "$template" >install.sh
chmod 0755 install.sh
echo "$dir/install.sh"
