#!/usr/bin/env bash
# Makes tui.svg, the picture in the guide: a real `devstack up --tui` in a terminal. picture.sh says what it needs.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/picture.sh"

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

open_terminal 100 30
tmux send-keys -t picture 'devstack up --tui' Enter
await 'job 12'
tmux send-keys -t picture Up
sleep 2
capture
tmux send-keys -t picture C-c
await 'everything stopped'
make_picture tui.svg "devstack up --tui"
