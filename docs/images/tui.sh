#!/usr/bin/env bash
# Makes tui.svg, the picture in the guide: a real `devstack tui` in a terminal. Works in a temporary directory, which is the home
# directory of everything it starts; nothing of this machine is in the picture.
#
# It needs tmux, Python 3 and devstack: the one in $DEVSTACK, or the one built in this repository.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
devstack=$(realpath "${DEVSTACK:-$here/../../target/debug/devstack}")
[ -x "$devstack" ] || { echo "tui.sh: run cargo build first, or set DEVSTACK" >&2; exit 1; }

place=$(mktemp -d)
place=$(cd "$place" && pwd -P)
tmux() { command tmux -S "$place/tmux.socket" -f /dev/null "$@"; }
finish() {
    tmux kill-server 2>/dev/null || true
    rm -rf "$place"
}
trap finish EXIT

mkdir -p "$place/bin" "$place/run" "$place/shop"
chmod 700 "$place/run"
ln -s "$devstack" "$place/bin/devstack"
ln -s "$(command -v python3)" "$place/bin/python3"

cat >"$place/shop/web.py" <<'EOF'
import os
from http.server import HTTPServer, SimpleHTTPRequestHandler

with HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), SimpleHTTPRequestHandler) as server:
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()
EOF
cat >"$place/shop/worker.sh" <<'EOF'
n=0
while :; do
    n=$((n + 1))
    printf '\033[32mINFO\033[0m  job %d: sent 12 mails in 0.%ds\n' "$n" "$((n % 7 + 1))"
    [ $((n % 5)) != 0 ] || printf '\033[33mWARN\033[0m  job %d: mail server is slow, trying again\n' "$n"
    sleep 0.2
done
EOF
cat >"$place/shop/devstack.toml" <<'EOF'
[stack.proxy]
enabled = false

[services.migrate]
kind = "task"
command = "echo 3 migrations applied"

[services.api]
command = ["python3", "web.py"]
port = 5600
depends_on = ["migrate"]

[services.web]
command = ["python3", "web.py"]
port = 3600
depends_on = ["api"]

[services.worker]
command = ["sh", "worker.sh"]
depends_on = ["api"]

[services.search]
command = "echo index is locked; exit 3"
restart = "no"
EOF

# Waits up to 20 s for a text in the terminal.
await() {
    for _ in {1..200}; do
        ! tmux capture-pane -p -t picture | grep -q -- "$1" || return 0
        sleep 0.1
    done
    echo "tui.sh: no \"$1\" in:" >&2
    tmux capture-pane -p -t picture >&2
    return 1
}

env -i HOME="$place" PATH="$place/bin:/usr/bin:/bin" LANG=C.UTF-8 TERM=screen-256color XDG_RUNTIME_DIR="$place/run" PS1='$ ' ENV= SHELL=/bin/sh \
    tmux -S "$place/tmux.socket" -f /dev/null new-session -d -s picture -x 100 -y 30 -c "$place/shop" /bin/sh
await '\$'
tmux send-keys -t picture 'devstack up --tui' Enter
await 'job 12'
tmux send-keys -t picture Up
sleep 2
tmux capture-pane -e -p -t picture >"$place/screen"
tmux send-keys -t picture C-c
await 'everything stopped'

python3 "$here/ansi_to_svg.py" "devstack up --tui" <"$place/screen" >"$place/tui.svg"
if grep -qe "$place" -e "$(hostname)" -e '/tmp/' -e "$HOME/" "$place/tui.svg"; then
    echo "tui.sh: something of this machine is in the picture" >&2
    exit 1
fi
mv "$place/tui.svg" "$here/tui.svg"
