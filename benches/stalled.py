#!/usr/bin/env python3
"""A flood of lines and restarts, without readers and with more than a hundred that never read.

    cargo build --release
    python3 benches/stalled.py

Stalled are streams of events and of the log, attached terminals, tabs of the dashboard, MCP clients and suspended TUIs.
Rounds with and without them alternate. Linux and Python 3.9 are needed; no process is left when the script ends.
"""

import argparse
import contextlib
import fcntl
import http.client
import json
import os
import pty
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Seconds until anything counts as failed.
PATIENCE = 180
LINE = "a line of a flood, about as long as those of usual services are"
CONFIG = """
[services.api]
command = "exec tail -f /dev/null"

[services.shell]
command = "exec cat"
tty = true

[services.flood]
kind = "task"
autostart = false
command = "yes '{line}' | head -n {lines}; echo that was all"
"""


def settle():
    """Waits until the processors are idle for a second, or for 15 seconds."""
    for _ in range(15):
        before = idle_time()
        time.sleep(1)
        if idle_time() - before > 0.9 * os.cpu_count():
            return
    print("the machine is not idle", file=sys.stderr)


def idle_time():
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    return int(fields[4]) / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


class Stack:
    """A stack with directories of its own, so that it meets no other."""

    def __init__(self, program, lines):
        self.program = program
        self.base = Path(tempfile.mkdtemp(prefix="devstack-stalled-"))
        self.dir = self.base / "flood"
        environment = {name: str(self.base / name) for name in ("HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")}
        for dir in (self.dir, *map(Path, environment.values())):
            dir.mkdir(mode=0o700)
        self.environment = {**os.environ, **environment, "DEVSTACK_PROXY": "off", "TERM": "xterm"}
        self.environment.pop("DEVSTACK_RUNTIME_DIR", None)
        (self.dir / "devstack.toml").write_text(CONFIG.format(line=LINE, lines=lines))

    def popen(self, *args, **options):
        command = [self.program, *args]
        return subprocess.Popen(command, cwd=self.dir, env=self.environment, **options)

    def run(self, *args):
        done = subprocess.run(
            [self.program, *args], cwd=self.dir, env=self.environment, capture_output=True, text=True, timeout=PATIENCE
        )
        if done.returncode:
            sys.exit(f"devstack {' '.join(args)}: {done.stderr}")
        return done.stdout

    def start(self):
        self.run("up", "--detach")
        locks = (self.base / "XDG_RUNTIME_DIR" / "devstack").glob("*.lock")
        found = {json.loads(lock.read_text() or "{}").get("stack"): lock for lock in locks}
        self.socket = found["flood"].with_suffix(".sock")
        self.pid = json.loads(found["flood"].read_text())["pid"]

    def end(self):
        subprocess.run([self.program, "down"], cwd=self.dir, env=self.environment, capture_output=True)
        shutil.rmtree(self.base)

    def memory(self):
        """The most that the supervisor has used, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024

    def processor(self):
        """Seconds of processor time of the supervisor."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Readers:
    """Clients of every face that have asked for everything and read nothing."""

    def __init__(self, stack, args):
        self.kept = contextlib.ExitStack()
        self.count = 0
        self.streams(stack, "/v1/events", args.events)
        self.streams(stack, "/v1/logs?follow=true&said=true", args.logs)
        upgrade = "Connection: Upgrade\r\nUpgrade: devstack-attach\r\n"
        self.streams(stack, "/v1/attach?service=shell&rows=24&columns=80", args.terminals, upgrade)
        self.tabs(stack, args.tabs)
        self.agents(stack, args.agents)
        self.tuis(stack, args.tuis)

    def streams(self, stack, path, count, head=""):
        for _ in range(count):
            client = self.kept.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(stack.socket))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: devstack\r\n{head}\r\n".encode())
            self.answered(client.recv(1), path)

    def tabs(self, stack, count):
        if not count:
            return
        dashboard = stack.popen("dashboard", "--no-open", "--port", free_port(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.process(dashboard)
        origin, _, token = dashboard.stdout.readline().strip().partition("/#token=")
        token = token.partition("&")[0]
        host = origin.rpartition("//")[2]
        for _ in range(count):
            connection = http.client.HTTPConnection(host, timeout=PATIENCE)
            self.kept.callback(connection.close)
            headers = {"Authorization": f"Bearer {token}"}
            connection.request("GET", f"/api/stream?stack={stack.socket.stem}", headers=headers)
            self.answered(connection.getresponse().status == 200, "a tab")

    def agents(self, stack, count):
        for _ in range(count):
            agent = stack.popen("mcp", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.process(agent)
            hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "stalled", "version": "1"}}
            self.tell(agent, "initialize", hello, 0)
            self.answered(agent.stdout.readline(), "an agent")
            self.tell(agent, "notifications/initialized", {}, None)
            for number in range(1, 40):
                self.tell(agent, "tools/call", {"name": "logs", "arguments": {"max_bytes": 64000}}, number)

    @staticmethod
    def tell(agent, method, params, number):
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        message.update({} if number is None else {"id": number})
        agent.stdin.write(json.dumps(message).encode() + b"\n")
        agent.stdin.flush()

    def tuis(self, stack, count):
        for _ in range(count):
            ours, theirs = pty.openpty()
            self.kept.callback(os.close, ours)
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
            tui = stack.popen("tui", stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
            os.close(theirs)
            self.process(tui)
            shown = b""
            while b"shell" not in shown:
                shown += os.read(ours, 65536)
            tui.send_signal(signal.SIGSTOP)
            self.answered(shown, "a TUI")

    def process(self, process):
        self.kept.callback(process.wait)
        self.kept.callback(process.kill)

    def answered(self, answer, what):
        if not answer:
            sys.exit(f"{what}: no answer")
        self.count += 1


def sample(args, stalled):
    """Returns lines a second, those of the first flood, the median of the restarts in ms, memory in MiB and processor
    time in s."""
    stack = Stack(args.devstack, args.lines)
    try:
        stack.start()
        readers = Readers(stack, args) if stalled else None
        with readers.kept if readers else contextlib.nullcontext():
            settle()
            # The buffers of all sockets are full after this.
            began = time.monotonic()
            stack.run("start", "flood")
            stack.run("wait", "flood", "--for", "completed")
            first = args.lines / (time.monotonic() - began)
            settle()
            before, began, restarts = stack.processor(), time.monotonic(), []
            flood = stack.popen("start", "flood", stdout=subprocess.DEVNULL)
            while flood.poll() is None:
                at = time.monotonic()
                stack.run("restart", "api")
                restarts.append((time.monotonic() - at) * 1000)
                time.sleep(0.1)
            stack.run("wait", "flood", "--for", "completed")
            took = time.monotonic() - began
            last = stack.run("logs", "flood", "--lines=1", "--said=no")
            if "that was all" not in last:
                sys.exit(f"the last line is missing: {last}")
            costs = statistics.median(restarts), stack.memory(), stack.processor() - before
            result = args.lines / took, first, *costs
            return result, readers.count if readers else 0
    finally:
        stack.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--devstack", type=os.path.abspath, default=str(ROOT / "target" / "release" / "devstack"))
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=36)
    parser.add_argument("--logs", type=int, default=36)
    parser.add_argument("--terminals", type=int, default=10)
    parser.add_argument("--tabs", type=int, default=12)
    parser.add_argument("--agents", type=int, default=6)
    parser.add_argument("--tuis", type=int, default=2)
    args = parser.parse_args()
    samples = {False: [], True: []}
    count = 0
    for _ in range(args.rounds):
        for stalled, all in samples.items():
            result, readers = sample(args, stalled)
            all.append(result)
            count = max(count, readers)
            print(f"  {'stalled' if stalled else 'alone':8}" + " ".join(f"{value:10.1f}" for value in result), file=sys.stderr)
    print(f"{args.lines} lines, {args.rounds} rounds, median (best); {count} readers\n")
    print("| readers | lines/s | first flood, lines/s | restart, ms | supervisor, MiB | processor, s |")
    print("|---|---|---|---|---|---|")
    medians = {}
    for stalled, all in samples.items():
        rates, firsts, *others = zip(*all)
        medians[stalled] = statistics.median(rates)
        cells = [f"{statistics.median(values):.0f} ({max(values):.0f})" for values in (rates, firsts)]
        cells += [f"{statistics.median(values):.1f} ({min(values):.1f})" for values in others]
        print(f"| {'stalled' if stalled else 'none'} | " + " | ".join(cells) + " |")
    print(f"\nthroughput with stalled readers: {medians[True] / medians[False]:.2f} of that without")


if __name__ == "__main__":
    main()
