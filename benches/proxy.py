#!/usr/bin/env python3
"""What a name costs: the same server directly, behind nginx with one worker, and by its name.

    cargo build --release --bin devstack --example misbehave
    python3 benches/proxy.py

Linux, Python 3.9, `nginx` and `wrk` are needed. All processes run on this machine, on loopback; none is left when the
script ends. The samples of the three alternate, so that a busy minute hits each of them. Compare ratios of one run.

`--debug --smoke` takes the debug build and makes everything short: whether the script works, not how fast devstack is.
"""

import argparse
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from names import PATIENCE, Stack, add_programs, find_programs, free_port, wait

UPSTREAM = """
worker_processes 1; daemon off; pid {dir}/upstream.pid; error_log {dir}/upstream.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {dir}/u1; proxy_temp_path {dir}/u2;
  fastcgi_temp_path {dir}/u3; uwsgi_temp_path {dir}/u4; scgi_temp_path {dir}/u5;
  server {{ listen 127.0.0.1:{upstream} backlog=4096; location / {{ return 200 "twenty-five bytes of text"; }} }}
}}
"""

PROXY = """
worker_processes 1; daemon off; pid {dir}/proxy.pid; error_log {dir}/proxy.log; worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {dir}/p1; proxy_temp_path {dir}/p2;
  fastcgi_temp_path {dir}/p3; uwsgi_temp_path {dir}/p4; scgi_temp_path {dir}/p5;
  upstream web {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{proxy} backlog=4096;
    location / {{
      proxy_pass http://web; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Port $server_port;
    }}
  }}
  server {{
    listen 127.0.0.1:{sockets} backlog=4096;
    location / {{
      proxy_pass http://127.0.0.1:{echo}; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
    }}
  }}
}}
"""


class Nginx:
    def __init__(self, dir, name, text):
        file = dir / f"{name}.conf"
        file.write_text(text)
        # In a session of its own, as the front door is: Linux shares processors among sessions.
        command = ["nginx", "-p", str(dir), "-c", str(file)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)

    def pids(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def wrk(port, host, connections, seconds):
    """Returns p50 and p99 in milliseconds, requests a second and errors."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", f"Host: {host}"]
    text = subprocess.run([*command, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True).stdout
    percentile = {int(at): milliseconds(value) for at, value in re.findall(r"(?m)^\s+(50|99)%\s+(\S+)", text)}
    errors = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    for line in re.findall(r"Socket errors: (.*)", text):
        errors += sum(map(int, re.findall(r"\d+", line)))
    return percentile[50], percentile[99], float(re.search(r"Requests/sec:\s+(\S+)", text)[1]), errors


def overhead(args, dir):
    ports = {name: free_port() for name in ("upstream", "proxy", "sockets", "echo")}
    conf = dir / "upstream.conf"
    conf.write_text(UPSTREAM.format(dir=dir, **ports))
    nginx = Nginx(dir, "proxy", PROXY.format(dir=dir, **ports))
    config = (
        '[stack]\nname = "shop"\n'
        f'[services.web]\ncommand = ["nginx", "-p", "{dir}", "-c", "{conf}"]\n'
        f'port = {ports["upstream"]}\nready = {{ http = "/" }}\n'
        f'[services.echo]\ncommand = ["{args.misbehave}", "listen", "--http", "--echo"]\n'
        f'port = {ports["echo"]}\nproxy = true\n'
    )
    stack = Stack(args.devstack, config).start()
    try:
        stack.wait_ready("web")
        ways = {
            "direct": (ports["upstream"], "localhost"),
            "nginx": (ports["proxy"], "localhost"),
            "name": (stack.port, f"web.shop.localhost:{stack.port}"),
        }
        print("Median (best).\n")
        print("| connections | way | p50, ms | p99, ms | requests/s | of nginx |")
        print("|---|---|---|---|---|---|")
        for connections in args.connections:
            samples = {way: [] for way in ways}
            for number in range(args.rounds + 1):
                for way, (port, host) in ways.items():
                    sample = wrk(port, host, connections, args.seconds)
                    # The first round warms up.
                    if number:
                        samples[way].append(sample)
            columns = {way: list(zip(*all)) for way, all in samples.items()}
            for way, (p50, p99, rate, errors) in columns.items():
                of = columns["nginx"][2]
                share = f"{statistics.median(rate) / statistics.median(of):.2f} ({max(rate) / max(of):.2f})"
                note = f", {sum(errors)} errors" if any(errors) else ""
                print(
                    f"| {connections} | {way} | {statistics.median(p50):.3f} ({min(p50):.3f}) "
                    f"| {statistics.median(p99):.2f} ({min(p99):.2f}) "
                    f"| {statistics.median(rate):.0f} ({max(rate):.0f}){note} | {share} |"
                )
        print()
        sockets(args, stack, nginx, ports)
    finally:
        stack.end()
        nginx.end()


def pss(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0


def sockets(args, stack, nginx, ports):
    """Prints the memory of many upgraded connections that are idle."""
    ways = {
        "nginx": (ports["sockets"], "localhost", nginx.pids),
        "name": (stack.port, f"echo.shop.localhost:{stack.port}", lambda: [stack.door()]),
    }
    for way, (port, host, pids) in ways.items():
        before = sum(map(pss, pids()))
        head = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        clients = []
        for _ in range(args.sockets):
            client = socket.create_connection(("127.0.0.1", port), PATIENCE)
            client.sendall(head.encode())
            if not client.recv(4096).startswith(b"HTTP/1.1 101"):
                sys.exit(f"{way}: no upgrade")
            client.sendall(b"x")
            client.recv(1)
            clients.append(client)
        after = sum(map(pss, pids()))
        for client in clients:
            client.close()
        time.sleep(1)
        rest = sum(map(pss, pids()))
        print(
            f"{args.sockets} idle WebSockets, {way}: {before:.1f} MiB before, {after:.1f} MiB with them "
            f"({(after - before) * 1024 / args.sockets:.1f} KiB each), {rest:.1f} MiB after"
        )
    print()


def starts(args):
    """Prints how long a start takes, with names and without."""
    service = '[services.s{0}]\ncommand = ["{1}", "listen", "--http"]\nport = "auto"\nready = {{ http = "/" }}\n'
    config = '[stack]\nname = "shop"\n' + "".join(service.format(at, args.misbehave) for at in range(5))
    times = {"with names": [], "without names": []}
    for number in range(args.starts + 1):
        for way, all in times.items():
            stack = Stack(args.devstack, config)
            if way == "without names":
                stack.environment["DEVSTACK_PROXY"] = "off"
            began = time.monotonic()
            stack.start()
            log = stack.dir / "log"
            wait("the start", lambda: b"is up" in log.read_bytes())
            if number:
                all.append((time.monotonic() - began) * 1000)
            stack.end()
    for way, all in times.items():
        print(f"start of 5 services {way}: {statistics.median(all):.0f} ms (best {min(all):.0f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_programs(parser)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 50, 500])
    parser.add_argument("--seconds", type=int, help="of each sample")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--sockets", type=int)
    parser.add_argument("--starts", type=int)
    parser.add_argument("--only", choices=["overhead", "starts"])
    args = parser.parse_args()
    find_programs(args)
    for count, usual, short in [("seconds", 2, 1), ("rounds", 7, 1), ("sockets", 1000, 50), ("starts", 15, 1)]:
        if getattr(args, count) is None:
            setattr(args, count, short if args.smoke else usual)
    for program in ("nginx", "wrk"):
        if not shutil.which(program):
            sys.exit(f"`{program}` is not installed")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    dir = Path(tempfile.mkdtemp(prefix="devstack-proxy-"))
    try:
        if args.only in (None, "overhead"):
            overhead(args, dir)
        if args.only in (None, "starts"):
            starts(args)
    finally:
        shutil.rmtree(dir)


if __name__ == "__main__":
    main()
