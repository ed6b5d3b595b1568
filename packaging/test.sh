#!/usr/bin/env bash
# Tests the scripts of this directory with a made-up program: its archives are made, installed, and refused once they differ.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v curl >/dev/null || { echo "skipped: curl is not installed"; exit 0; }
fail() { printf 'packaging/test.sh: %s\n' "$*" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\necho devstack 0.0.0-test\n' >"$work/program"
for target in {x86_64,aarch64}-{unknown-linux-gnu,apple-darwin}; do
    packaging/archive.sh "$target" "$work/program" "$work/release" >/dev/null
done
packaging/installer.sh "$work/release" "file://$work/release" >/dev/null
[ "$(wc -l <"$work/release/SHA256SUMS")" -eq 4 ] || fail "SHA256SUMS does not list every archive"

installer() { PATH=$work/bin:$PATH sh "$work/release/install.sh" "$work/bin" >"$work/log" 2>&1; }
installer || fail "the installer failed: $(cat "$work/log")"
[ "$("$work/bin/devstack" --version)" = "devstack 0.0.0-test" ] || fail "the program was not installed"
grep -q 'installed devstack 0.0.0-test' "$work/log" || fail "the installer does not say what it installed"

rm "$work/bin/devstack"
for archive in "$work"/release/*.tar.gz; do echo >>"$archive"; done
! installer || fail "the installer accepted an archive with another checksum"
grep -q 'wrong checksum' "$work/log" || fail "the installer failed for another reason: $(cat "$work/log")"
[ ! -e "$work/bin/devstack" ] || fail "a program with the wrong checksum was installed"

! sh packaging/install.sh "$work/bin" >"$work/log" 2>&1 || fail "the template runs although nothing is filled in"
