#!/usr/bin/env python3
"""Answers with a greeting."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GREETING = "hello from main"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(f"{GREETING}\n".encode())


address = (os.environ["HOST"], int(os.environ["PORT"]))
with ThreadingHTTPServer(address, Handler) as server:
    server.serve_forever()
