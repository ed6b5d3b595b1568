#!/usr/bin/env python3
"""Says on which port it is, and what the API says that it was told about."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

NAME = os.environ.get("DEVSTACK_SERVICE", "an old program")
HOST = os.environ.get("HOST", "127.0.0.1")
PORT = int(os.environ["PORT"])
API = os.environ.get("DEVSTACK_API_URL")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"{NAME} on port {PORT}\n"
        if API:
            text += urlopen(API, timeout=10).read().decode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


with ThreadingHTTPServer((HOST, PORT), Handler) as server:
    print(f"listening on {HOST}:{PORT}", flush=True)
    server.serve_forever()
