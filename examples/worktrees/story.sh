#!/usr/bin/env bash
# Two worktrees of one repository side by side, each with its own stack. Works in a temporary directory, stops what it started,
# and leaves nothing behind.
#
# It needs git, Python 3 and devstack: the one in $DEVSTACK, in PATH, or built in this repository.
set -euo pipefail
exec 2>&1

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -z "${DEVSTACK:-}" ]; then
    DEVSTACK=$(command -v devstack || true)
    for built in "$here"/../../target/{debug,release}/devstack; do
        [ -n "$DEVSTACK" ] || [ ! -x "$built" ] || DEVSTACK=$(realpath "$built")
    done
fi
[ -n "$DEVSTACK" ] || { echo "story: no devstack: cargo install --locked --path ., or cargo build"; exit 1; }

place=$(mktemp -d "${TMPDIR:-/tmp}/story.XXXX")
place=$(cd "$place" && pwd -P)
finish() {
    local tree
    for tree in shop feature; do
        [ ! -d "$place/$tree" ] || (cd "$place/$tree" && "$DEVSTACK" down >/dev/null 2>&1) || true
    done
    rm -rf "$place"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n# %s\n' "$*"; }
# Goes to a worktree and runs a command there.
run() {
    cd "$place/$1"
    shift
    echo "\$ cd ${PWD##*/}; $*"
    "${@/#devstack/$DEVSTACK}"
}
git() { command git -c user.name=story -c user.email=story@localhost -c commit.gpgSign=false "$@"; }
ask() { python3 -c 'import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1]).read().decode())' "$1"; }
url() {
    cd "$place/$1"
    "$DEVSTACK" ps --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["services"][0]["url"])'
}
# Asks the service of a worktree.
page() {
    local url
    url=$(url "$1")
    echo "\$ curl $url"
    ask "$url"
}

say "A repository with one service, and a second worktree for a feature."
mkdir "$place/shop"
cp "$here/server.py" "$here/devstack.toml" "$place/shop"
cd "$place/shop"
git init --quiet --initial-branch main
git add .
git commit --quiet --message "Greet"
run shop git worktree add --quiet -b feature ../feature

say "Both run at once. The second one gets another port."
run shop devstack up -d
run feature devstack up -d

say "An edit in one worktree restarts the service of that worktree only."
echo "\$ cd feature; sed -i 's/main/the feature/' server.py"
sed 's/hello from main/hello from the feature/' "$place/shop/server.py" >"$place/feature/server.py"
# The old process answers until it is restarted.
for _ in {1..300}; do
    [ "$(ask "$(url feature)" 2>/dev/null)" != "hello from the feature" ] || break
    sleep 0.1
done
page shop
page feature

say "That is all. A worktree takes the files of its stack along when it is removed."
run shop devstack down
run feature devstack down
run feature git commit --quiet --all --message "Greet from the feature"
run shop git worktree remove ../feature
