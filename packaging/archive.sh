#!/usr/bin/env bash
# Makes the archive of a release for one target: devstack-VERSION-TARGET.tar.gz in DIR.
#
#   packaging/archive.sh TARGET PROGRAM DIR
set -euo pipefail

[ $# = 3 ] || { echo "usage: packaging/archive.sh TARGET PROGRAM DIR" >&2; exit 2; }
target=$1 program=$2 dir=$3
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
name=devstack-$version-$target

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$dir" "$work/$name"
cp "$program" "$work/$name/devstack"
chmod 0755 "$work/$name/devstack"
cp "$root"/{README.md,CHANGELOG.md,LICENSE-MIT,LICENSE-APACHE} "$work/$name"
cp -R "$root"/docs/{man,completions} "$work/$name"
tar -C "$work" -czf "$dir/$name.tar.gz" "$name"
echo "$dir/$name.tar.gz"
