#!/usr/bin/env python3
"""What users of a name see while its service changes: saves, rolling restarts and kills under load.

    cargo build --release --bin devstack --example misbehave
    python3 benches/names.py

Linux and Python 3.9 are needed. All processes run on this machine, on loopback; none is left when the script ends.

Requests come at a steady rate, each over a connection of its own, from threads of this script. A request counts as an
error if it is not answered with 200. An answer is old if it is from a run before one that was ready when the request
began.

`--server fastapi` and the others save the source of a real server instead, whose answers tell what was saved; they are
installed with tests/presets/setup.sh. With `--threads 250` requests come at that rate through slow starts, too.

Of slow requests that no kill explains, it says where their time went: in the front door, as `devstack requests` has it, or
outside of it, where this script and the machine are. `--debug` takes the debug build, `--smoke` makes everything short.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60
# In seconds: what is longer is looked into.
SLOW = 0.1
# How late a thread of this script is woken up while the machine is busy with something else, in seconds.
LATE = 0.05


class Server:
    """A real server: its preset, its file, and what is linked into the project. %s is what was saved."""

    def __init__(self, preset, file, kit, text):
        self.preset, self.file, self.kit, self.text = preset, file, kit, text

    def prepare(self, stack):
        kit = ROOT / "target" / "presets" / self.kit
        if not kit.exists():
            sys.exit(f"{kit} is not there: run tests/presets/setup.sh")
        (stack.project / self.kit).symlink_to(kit)
        self.save(stack, 0)

    def save(self, stack, number):
        (stack.project / self.file).write_text(self.text % number)

    def service(self):
        return f'[services.web]\npreset = "{self.preset}"\nport = "auto"\n'


SERVERS = {
    "fastapi": Server(
        "fastapi",
        "main.py",
        ".venv",
        "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/{path:path}')\ndef index():\n    return {'pid': %s}\n",
    ),
    "flask": Server(
        "flask",
        "app.py",
        ".venv",
        "from flask import Flask\napp = Flask(__name__)\n@app.get('/')\n@app.get('/<path>')\n"
        "def index(path=''):\n    return {'pid': %s}\n",
    ),
    "express": Server(
        "express",
        "index.js",
        "node_modules",
        "const app = require('express')()\napp.use((_, reply) => reply.json({ pid: %s }))\n"
        "app.listen(process.env.PORT, process.env.HOST)\n",
    ),
}


class Stack:
    """A stack of its own user: its home and its front door are in a temporary directory."""

    def __init__(self, program, config):
        self.program, self.dir = program, Path(tempfile.mkdtemp(prefix="devstack-names-"))
        self.project = self.dir / "project"
        self.project.mkdir()
        self.port = free_port()
        runtime = self.dir / "run"
        runtime.mkdir(mode=0o700)
        self.environment = {
            **os.environ,
            "HOME": str(self.dir),
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_STATE_HOME": str(self.dir / "state"),
            "DEVSTACK_PROXY": str(self.port),
        }
        (self.project / "devstack.toml").write_text(config)
        (self.project / "app").write_text("before")
        self.up = None

    def start(self):
        log = (self.dir / "log").open("wb")
        command = [self.program, "up"]
        self.up = subprocess.Popen(command, cwd=self.project, env=self.environment, stdout=log, stderr=log)
        return self

    def run(self, *args):
        command = [self.program, *args]
        done = subprocess.run(command, cwd=self.project, env=self.environment, capture_output=True, timeout=PATIENCE)
        return done.stdout.decode()

    def services(self):
        """Each service by its name, as `devstack ps --json` has it."""
        text = self.run("ps", "--json")
        return {one["name"]: one for one in json.loads(text)["services"]} if text else {}

    def door(self):
        with contextlib.suppress(ValueError, TypeError, KeyError):
            return json.loads(self.run("proxy", "--json"))["proxy"]["pid"]
        return None

    def ask(self, name, path="/"):
        """Sends a request and returns the status and the text of the body."""
        request = f"GET {path} HTTP/1.1\r\nHost: {name}.shop.localhost:{self.port}\r\nConnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as client:
            client.settimeout(PATIENCE)
            client.sendall(request.encode())
            parts = []
            while part := client.recv(65536):
                parts.append(part)
        head, _, body = b"".join(parts).partition(b"\r\n\r\n")
        if not head:
            raise ConnectionError("closed without an answer")
        return int(head.split(b" ", 2)[1]), body

    def wait_ready(self, *names):
        """Waits until names are served."""
        for name in names:
            wait(f"{name} is served", lambda name=name: self.answers(name))

    def answers(self, name):
        with contextlib.suppress(OSError):
            return self.ask(name)[0] == 200
        return False

    def end(self):
        if self.up:
            self.up.send_signal(signal.SIGINT)
            self.up.wait(PATIENCE)
        wait("the front door ends", lambda: not self.door())
        shutil.rmtree(self.dir)


class Load:
    """Requests at a steady rate to names in turn, until it is stopped."""

    def __init__(self, stack, names, args):
        self.stack, self.names, self.rate, self.count = stack, names, args.rate, args.threads
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self.number, self.began = 0, time.monotonic()
        # Of each name, the processes of the runs known to have been ready, oldest first.
        self.runs = {name: [] for name in names}
        # Answers: name, when it was sent, how long it took, its number. Errors: the same, and why.
        self.answers, self.errors, self.old = [], [], 0
        # When this script got no processor: from, to.
        self.stalls = []

    def __enter__(self):
        self.threads = [threading.Thread(target=self.work) for _ in range(self.count)]
        self.threads.append(threading.Thread(target=self.watch_clock))
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def watch_clock(self):
        last = time.monotonic()
        while not self.ended.is_set():
            time.sleep(0.005)
            now = time.monotonic()
            if now - last > LATE:
                self.stalls.append((last, now))
            last = now

    def work(self):
        while not self.ended.is_set():
            with self.lock:
                self.number += 1
                number = self.number
            due = self.began + number / self.rate
            time.sleep(max(0, due - time.monotonic()))
            self.one(self.names[number % len(self.names)], number)

    def one(self, name, number):
        known, sent = len(self.runs[name]), time.monotonic()
        try:
            status, body = self.stack.ask(name, f"/{number}")
        except OSError as error:
            return self.errors.append((name, sent, time.monotonic() - sent, number, str(error)))
        took = time.monotonic() - sent
        if status != 200:
            return self.errors.append((name, sent, took, number, f"{status}: {body[:200]}"))
        self.answers.append((name, sent, took, number))
        runs, pid = self.runs[name], json.loads(body)["pid"]
        if pid in runs and runs.index(pid) + 1 < known:
            self.old += 1

    def note(self, name, pid):
        if pid not in self.runs[name]:
            self.runs[name].append(pid)

    def summary(self):
        times = sorted(took * 1000 for _, _, took, _ in self.answers)
        seconds = time.monotonic() - self.began
        return (
            f"{len(times)} answers in {seconds:.0f} s, {len(self.errors)} errors, {self.old} of an old run; "
            f"p50 {statistics.median(times):.1f} ms, p99 {times[len(times) * 99 // 100]:.0f} ms, longest {times[-1]:.0f} ms"
        )


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait(what, holds):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            sys.exit(f"in vain: {what}")
        time.sleep(0.005)


def service(misbehave, name, more=""):
    return (
        f'[services.{name}]\ncommand = ["{misbehave}", "listen", "--http"]\nport = "auto"\n'
        f'ready = {{ http = "/" }}\n{more}'
    )


def config(*services):
    return '[stack]\nname = "shop"\n' + "".join(services)


def next_run(stack, name, last):
    """Waits for another run that is ready, and returns its process."""
    found = []

    def ready():
        view = stack.services().get(name, {})
        found[:] = [view["pid"]] if view.get("phase") == "ready" and view.get("pid") != last else []
        return bool(found)

    wait(f"the next run of {name}", ready)
    return found[0]


def saves(args):
    server = SERVERS.get(args.server)
    web = server.service() if server else service(args.misbehave, "web", 'watch = ["app"]\n')
    stack = Stack(args.devstack, config(web))
    try:
        if server:
            server.prepare(stack)
        stack.start().wait_ready("web")
        with Load(stack, ["web"], args) as load:
            dice = random.Random(args.seed)
            last = next_run(stack, "web", None)
            load.note("web", 0 if server else last)
            for number in range(1, args.saves + 1):
                if server:
                    server.save(stack, number)
                else:
                    (stack.project / "app").write_text(str(number))
                last = next_run(stack, "web", last)
                load.note("web", number if server else last)
                # A service whose file always changes soon after its start restarts itself, for all devstack knows.
                time.sleep(2.2 if number % 4 == 0 else dice.random() * 0.5)
        print(f"{args.saves} saves of {args.server} at {args.rate} requests/s: {load.summary()}")
        return load
    finally:
        stack.end()


def rolling(args):
    stack = Stack(args.devstack, config(service(args.misbehave, "web", "replicas = 3\n"))).start()
    try:
        stack.wait_ready("web")
        with Load(stack, ["web"], args) as load:
            for _ in range(args.rolls):
                for replica in ("web-1", "web-2", "web-3"):
                    stack.run("restart", replica)
        print(f"{args.rolls} rolling restarts of 3 replicas at {args.rate} requests/s: {load.summary()}")
        return load
    finally:
        stack.end()


def recorded(stack):
    """What the front door has recorded of slow requests, by their numbers."""
    lines = stack.run("requests", "--json", "--slow", "20ms", "-n", "1000").splitlines()
    records = [json.loads(line) for line in lines]
    return {int(one["target"][1:]): one for one in records if one["target"][1:].isdigit()}


def place_of(answer, load, records):
    """Where the time of a slow request went."""
    _, sent, took, number = answer
    stalled = sum(max(0, min(to, sent + took) - max(since, sent)) for since, to in load.stalls)
    record = records.get(number)
    if record and record["parked_ms"] > took * 500:
        return "waiting in the front door"
    if record and (record["total_ms"] or 0) > took * 500:
        return "with the service"
    if stalled > took / 2:
        return "on a machine that was busy"
    return "outside the front door" if record else "unknown"


def kills(args):
    names = ["web", "api", "auth"]
    # The limit of crashes is not for these.
    limits = 'restart = { policy = "always", max = 1000, window = "1s", delay = "50ms", max_delay = "100ms" }\n'
    stack = Stack(args.devstack, config(*(service(args.misbehave, name, limits) for name in names))).start()
    dice = random.Random(args.seed)
    # Each kill: of what, when, when it was seen to be over.
    killed, back, records = [], [], {}
    try:
        stack.wait_ready(*names)
        with Load(stack, names, args) as load:
            for number in range(args.kills):
                victim = dice.choice([*names, "the front door"])
                pid = stack.door() if victim == "the front door" else stack.services()[victim].get("pid")
                if not pid:
                    continue
                if any(took > SLOW for _, _, took, _ in load.answers[-200:]):
                    records.update(recorded(stack))
                at = time.monotonic()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                if victim == "the front door":
                    wait("another front door answers", lambda: all(stack.answers(name) for name in names))
                    back.append(time.monotonic() - at)
                else:
                    next_run(stack, victim, pid)
                killed.append((victim, at, time.monotonic()))
                time.sleep(dice.random() * 0.1)
            records.update(recorded(stack))
        doors = [(at, until) for victim, at, until in killed if victim == "the front door"]
        # Sent to a front door that was killed before it could answer.
        within = [one for one in load.errors if any(one[1] <= at <= one[1] + one[2] + 0.05 for at, _ in doors)]
        waited = [
            answer
            for answer in load.answers
            if answer[2] > SLOW
            and not any(
                victim in (answer[0], "the front door") and at <= answer[1] + answer[2] and answer[1] <= until
                for victim, at, until in killed
            )
        ]
        print(f"{len(killed)} kills at {args.rate} requests/s, seed {args.seed}: {load.summary()}")
        print(f"  {len(within)} of the errors within a front door that was killed ({len(doors)} times)")
        print(f"  {len(waited)} requests took longer than {SLOW} s although neither their service nor the front door was killed")
        for place, count in Counter(place_of(answer, load, records) for answer in waited).items():
            print(f"    {count} of them {place}")
        stalled = sum(to - since for since, to in load.stalls)
        print(f"  the script got no processor for {len(load.stalls)} times {LATE} s or longer, {stalled:.1f} s in all")
        if back:
            print(f"  all names are served again {statistics.median(back) * 1000:.0f} ms after a front door is killed, at most {max(back) * 1000:.0f} ms")
        load.errors = [one for one in load.errors if one not in within]
        return load
    finally:
        stack.end()


def add_programs(parser):
    parser.add_argument("--debug", action="store_true", help="the debug build")
    parser.add_argument("--smoke", action="store_true", help="everything short: whether it works, not how fast")
    parser.add_argument("--devstack", type=os.path.abspath)
    parser.add_argument("--misbehave", type=os.path.abspath)


def find_programs(args):
    target = ROOT / "target" / ("debug" if args.debug else "release")
    args.devstack = args.devstack or str(target / "devstack")
    args.misbehave = args.misbehave or str(target / "examples" / "misbehave")
    for program in (args.devstack, args.misbehave):
        if not os.access(program, os.X_OK):
            sys.exit(f"{program} is not there: build it as this script says at the top")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_programs(parser)
    parser.add_argument("--rate", type=int, default=200, help="requests a second")
    parser.add_argument("--threads", type=int, default=16, help="so many requests may wait at a time")
    parser.add_argument("--server", choices=["misbehave", *SERVERS], default="misbehave", help="what is saved")
    parser.add_argument("--saves", type=int)
    parser.add_argument("--rolls", type=int)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["saves", "rolling", "kills"])
    args = parser.parse_args()
    find_programs(args)
    for count, usual, short in [("saves", 100, 5), ("rolls", 20, 1), ("kills", 500, 10)]:
        if getattr(args, count) is None:
            setattr(args, count, short if args.smoke else usual)
    parts = {"saves": saves, "rolling": rolling, "kills": kills}
    loads = [part(args) for name, part in parts.items() if args.only in (None, name)]
    for name, _, took, _, why in [error for load in loads for error in load.errors][:20]:
        print(f"  error: {name} after {took * 1000:.0f} ms: {why}")
    if any(load.errors or load.old for load in loads):
        sys.exit(1)


if __name__ == "__main__":
    main()
