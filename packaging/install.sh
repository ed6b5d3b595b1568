#!/bin/sh
# Installs devstack: downloads the archive for this machine, verifies its SHA-256 checksum and copies the program.
#
#   sh install.sh [DIR]          DIR: where to install [default: ~/.local/bin]
#
# Every release has a copy of this script in which packaging/installer.sh has filled in the next two values. It installs
# that release, and nothing but archives with these checksums.
set -eu

url=''
checksums='
'

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

# All of it is in a function, so that a download that was cut off runs nothing.
main() {
    [ -n "$url" ] || fail "this is the template: run the install.sh of a release"
    if [ $# -gt 0 ]; then dir=$1; else dir=${HOME:?}/.local/bin; fi

    case $(uname -s) in
    Linux) system=unknown-linux-gnu ;;
    Darwin) system=apple-darwin ;;
    *) fail "there is no archive for $(uname -s)" ;;
    esac
    case $(uname -m) in
    x86_64 | amd64) machine=x86_64 ;;
    aarch64 | arm64) machine=aarch64 ;;
    *) fail "there is no archive for $(uname -m)" ;;
    esac
    target=$machine-$system
    line=$(echo "$checksums" | grep -e "-$target\.tar\.gz\$") || fail "this release has no archive for $target"
    expected=${line%% *}
    archive=${line##* }

    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    echo "downloading $url/$archive"
    if command -v curl >/dev/null; then
        curl -fsSL --retry 3 -o "$work/$archive" "$url/$archive" || fail "cannot download $archive"
    elif command -v wget >/dev/null; then
        wget -q -O "$work/$archive" "$url/$archive" || fail "cannot download $archive"
    else
        fail "curl or wget is required"
    fi

    if command -v sha256sum >/dev/null; then
        actual=$(sha256sum "$work/$archive")
    elif command -v shasum >/dev/null; then
        actual=$(shasum -a 256 "$work/$archive")
    else
        fail "cannot verify the download: sha256sum or shasum is required"
    fi
    actual=${actual%% *}
    [ "$actual" = "$expected" ] || fail "$archive has the wrong checksum: expected $expected, found $actual"

    tar -xzf "$work/$archive" -C "$work"
    program=$work/${archive%.tar.gz}/devstack
    installed=$("$program" --version) || fail "the program does not run here (on Linux it needs glibc): use \`cargo install\` instead"
    mkdir -p "$dir"
    # Copied beside the old program, then renamed: a devstack that runs keeps its file.
    cp "$program" "$dir/.devstack.new"
    mv -f "$dir/.devstack.new" "$dir/devstack"
    echo "installed $installed in $dir"
    case :${PATH:-}: in
    *:"$dir":*) ;;
    *) echo "note: $dir is not in PATH" ;;
    esac
}

main "$@"
