#!/usr/bin/env bash
# Ports in one minute: port 5000 is in use, the stack runs twice beside it, and one service listens elsewhere. Works in a
# temporary directory, stops what it started, and leaves nothing behind.
#
# It needs Python 3 and devstack: the one in $DEVSTACK, in PATH, or built in this repository.
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
started=()
finish() {
    local pid
    for pid in ${started[@]+"${started[@]}"}; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -r "$place"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n# %s\n' "$*"; }
devstack() {
    echo "\$ devstack $*"
    "$DEVSTACK" "$@"
}
# Waits up to 30 s until the file has such a line, as long as the process lives.
await() {
    local file=$1 text=$2 pid=$3
    for _ in {1..300}; do
        ! grep -q -- "$text" "$file" || return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    echo "story: waited in vain for \"$text\" in:"
    cat "$file"
    return 1
}
# Starts the stack of a directory; its log is shown once it is up.
up() {
    cd "$place/$1"
    echo "\$ cd $1; devstack up"
    : >"../$1.log"
    "$DEVSTACK" up >>"../$1.log" 2>&1 </dev/null &
    started+=($!)
    await "../$1.log" " is up$" $!
    cat "../$1.log"
}
down() {
    cd "$place/$1"
    echo "\$ cd $1; devstack down"
    "$DEVSTACK" down
}

for dir in old-app shop shop-2; do
    mkdir "$place/$dir"
    cp "$here/server.py" "$here/devstack.toml" "$place/$dir"
done
rm "$place/old-app/devstack.toml"

say "An old program has port 5000."
cd "$place/old-app"
HOST=127.0.0.1 PORT=5000 python3 server.py >../old-app.log 2>&1 &
old=$!
started+=("$old")
if await ../old-app.log "listening" "$old" 2>/dev/null; then
    cat ../old-app.log
else
    old=
    echo "Another process on this machine already uses it, which will do."
fi

say "The stack starts anyway, and shows what is using the port."
up shop

say "A second copy of the project, a worktree for instance, runs beside it on ports of its own."
up shop-2
cd ../shop
devstack ports
cd ../shop-2
devstack ports

say "Each page talks to the API of its own stack."
for dir in shop shop-2; do
    cd "$place/$dir"
    url=$("$DEVSTACK" ps --json | python3 -c '
import json, sys
print(next(service["url"] for service in json.load(sys.stdin)["services"] if service["name"] == "web"))')
    echo "\$ curl $url"
    python3 -c 'import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1]).read().decode())' "$url"
done

say "A service that ignores its port is reported with both numbers and a fix."
cd "$place/shop"
devstack start stubborn || echo "(exit code $?)"
await ../shop.log "was given" "${started[1]}"
grep "was given" ../shop.log
devstack ps
devstack stop stubborn

say "A directory gets the same ports again, in whatever order they start."
down shop
down shop-2
up shop-2
up shop

say "What is using port 5000?"
devstack ports 5000

if [ -n "$old" ]; then
    say "Kill it. The next start gets the preferred port."
    devstack ports 5000 --kill --yes
    down shop
    up shop
fi

say "That is all. Everything stops, and nothing is left behind."
down shop
down shop-2
