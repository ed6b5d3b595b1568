#!/usr/bin/env bash
# Makes up.svg, the picture in the README: a real run of `devstack up` in a terminal, with a port that is in use and an edit.
# picture.sh says what it needs. Port 5000 must be free.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/picture.sh"

mkdir "$place/old-app"
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

(cd "$place/old-app" && HOME=$place exec "$place/bin/python3" server.py >/dev/null) &
old=$!
trap 'kill "$old" 2>/dev/null || true; finish' EXIT
for _ in {1..100}; do
    ! (exec 3<>/dev/tcp/127.0.0.1/5000) 2>/dev/null || break
    sleep 0.1
done
sleep 2

open_terminal 112 40
tmux send-keys -t picture 'devstack up' Enter
await 'is up'
sed -i.bak 's/GREETING = "hello"/GREETING = "welcome"/' "$place/shop/api.py"
await 'restarting: api.py changed'
sleep 2
tmux send-keys -t picture C-c
await '^\$ *$'
capture
# The last line is the next prompt.
make_picture up.svg "devstack up"
