#!/usr/bin/env bash
# Makes up.svg, the picture in the README: a real run of `devstack up` in a terminal, with a port that is in use and an edit.
# Works in a temporary directory, which is the home directory of everything it starts; nothing of this machine is in the picture.
#
# It needs tmux, Python 3 and devstack: the one in $DEVSTACK, or the one built in this repository. Port 5000 must be free.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
devstack=$(realpath "${DEVSTACK:-$here/../../target/debug/devstack}")
[ -x "$devstack" ] || { echo "make.sh: run cargo build first, or set DEVSTACK" >&2; exit 1; }

place=$(mktemp -d)
place=$(cd "$place" && pwd -P)
old=
tmux() { command tmux -S "$place/tmux.socket" -f /dev/null "$@"; }
finish() {
    tmux kill-server 2>/dev/null || true
    [ -z "$old" ] || kill "$old" 2>/dev/null || true
    wait
    rm -rf "$place"
}
trap finish EXIT

mkdir -p "$place/bin" "$place/run" "$place/old-app" "$place/shop"
chmod 700 "$place/run"
ln -s "$devstack" "$place/bin/devstack"
python=$(python3 -c 'import sys; print(sys.executable)')
ln -s "$python" "$place/bin/python3"

cat >"$place/old-app/server.py" <<'EOF'
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GREETING = "hello"
HOST, PORT = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", 5000))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(GREETING.encode())

    def log_message(self, *_):
        pass


with ThreadingHTTPServer((HOST, PORT), Handler) as server:
    print(f"listening on {HOST}:{PORT}", flush=True)
    server.serve_forever()
EOF
cp "$place/old-app/server.py" "$place/shop/api.py"
cp "$place/old-app/server.py" "$place/shop/web.py"

cat >"$place/shop/devstack.toml" <<'EOF'
[services.migrate]
kind = "task"
command = "echo 3 migrations applied"

[services.api]
command = ["python3", "api.py"]
port = 5000
depends_on = ["migrate"]
ready = { http = "/health" }
watch = ["api.py"]

[services.web]
command = ["python3", "web.py"]
port = 3000
depends_on = ["api"]
color = "cyan"
EOF

# Waits up to 20 s for a text in the terminal.
await() {
    for _ in {1..200}; do
        ! tmux capture-pane -p -t picture | grep -q -- "$1" || return 0
        sleep 0.1
    done
    echo "make.sh: no \"$1\" in:" >&2
    tmux capture-pane -p -t picture >&2
    return 1
}

(cd "$place/old-app" && HOME=$place exec "$place/bin/python3" server.py >/dev/null) &
old=$!
for _ in {1..100}; do
    ! (exec 3<>/dev/tcp/127.0.0.1/5000) 2>/dev/null || break
    sleep 0.1
done
sleep 2

env -i HOME="$place" PATH="$place/bin:/usr/bin:/bin" LANG=C.UTF-8 TERM=screen-256color XDG_RUNTIME_DIR="$place/run" PS1='$ ' ENV= SHELL=/bin/sh \
    tmux -S "$place/tmux.socket" -f /dev/null new-session -d -s picture -x 112 -y 40 -c "$place/shop" /bin/sh
await '\$'
tmux send-keys -t picture 'devstack up' Enter
await 'is up'
sed -i.bak 's/GREETING = "hello"/GREETING = "welcome"/' "$place/shop/api.py"
await 'restarting: api.py changed'
sleep 2
tmux send-keys -t picture C-c
await '^\$ *$'
tmux capture-pane -e -p -t picture >"$place/screen"

# The last line is the next prompt.
python3 "$here/ansi_to_svg.py" "devstack up" <"$place/screen" >"$place/up.svg"
if grep -qe "$place" -e "$(hostname)" -e '/tmp/' -e "$HOME/" "$place/up.svg"; then
    echo "make.sh: something of this machine is in the picture" >&2
    exit 1
fi
mv "$place/up.svg" "$here/up.svg"
