#!/usr/bin/env python3
"""The memory of the supervisor in a busy session: lines, restarts, edits and questions, round after round.

    cargo build --release
    python3 benches/memory.py

Prints its resident set after each round, anonymous and of files, and fails above --most MiB, or if it has grown since the
first third of the rounds. Linux and Python 3.9 are needed; no process is left when the script ends.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Seconds until anything counts as failed.
PATIENCE = 120
# Growth that is no leak, in MiB: of pages, not of what is in use.
SLACK = 1.0
SERVICE = """
[services.s{at}]
command = "for i in $(seq {lines}); do echo line $i of a service, about as long as those of usual services are; done; {stay}"
port = "auto"
ready = {{ log = "^line 1 " }}
env_file = [".env"]
watch = ["src{at}/**/*.py", ".env"]
env = {{ EDIT = "{edit}" }}
"""


class Session:
    """A stack with directories of its own, so that it meets no other."""

    def __init__(self, program, services, lines):
        self.program, self.services, self.lines = program, services, lines
        self.base = Path(tempfile.mkdtemp(prefix="devstack-memory-"))
        self.dir = self.base / "busy"
        environment = {name: str(self.base / name) for name in ("HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")}
        for dir in (self.dir, *map(Path, environment.values())):
            dir.mkdir(mode=0o700)
        self.environment = {**os.environ, **environment, "DEVSTACK_PROXY": "off"}
        for at in range(services):
            (self.dir / f"src{at}").mkdir()
        (self.dir / ".env").write_text("".join(f"VARIABLE_{at}=a value of some length\n" for at in range(50)))
        self.configure("start")

    def __enter__(self):
        self.ask("up", "-d")
        with (self.base / "XDG_STATE_HOME" / "followed").open("w") as log:
            self.follower = subprocess.Popen(
                [self.program, "logs", "-f"], cwd=self.dir, env=self.environment, stdout=log, stderr=log
            )
        return self

    def __exit__(self, *_):
        self.ask("down", may_fail=True)
        self.follower.kill()
        self.follower.wait()
        shutil.rmtree(self.base, ignore_errors=True)

    def configure(self, edit):
        """Edits one service; the others stay as they are."""
        text = "".join(
            SERVICE.format(at=at, lines=self.lines, stay="exec tail -f /dev/null", edit=edit if at == 0 else "")
            for at in range(self.services)
        )
        (self.dir / "devstack.toml").write_text(text)

    def ask(self, *words, may_fail=False):
        ended = subprocess.run(
            [self.program, *words], cwd=self.dir, env=self.environment, capture_output=True, text=True, timeout=PATIENCE
        )
        if ended.returncode and not may_fail:
            raise SystemExit(f"devstack {' '.join(words)}: {ended.returncode}\n{ended.stderr}")
        return ended.stdout

    def supervisor(self):
        return json.loads(self.ask("ps", "--json"))["supervisor_pid"]

    def round(self, number, restarts):
        for at in range(restarts):
            self.ask("restart", f"s{at % self.services}")
            if at % 10 == 3:
                (self.dir / f"src{at % self.services}" / "app.py").write_text(f"{number} {at}")
        self.configure(f"round {number}")
        for words in (("ps",), ("why", "s1"), ("logs", "-n", "2000"), ("env", "s2"), ("plan",), ("changes",)):
            self.ask(*words)


def resident(pid):
    """Resident memory in MiB: all, anonymous, of files."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return tuple(int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon", "RssFile"))


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--program", type=Path, default=ROOT / "target/release/devstack")
    options.add_argument("--services", type=int, default=10)
    options.add_argument("--rounds", type=int, default=10)
    options.add_argument("--restarts", type=int, default=50, help="of each round")
    options.add_argument("--lines", type=int, default=400, help="of each start")
    options.add_argument("--most", type=float, default=20.0, help="MiB")
    options = options.parse_args()
    with Session(options.program.absolute(), options.services, options.lines) as session:
        pid = session.supervisor()
        print(f"{'restarts':>8} {'lines':>8} {'MiB':>6} {'anon':>6} {'files':>6}", flush=True)
        seen = []
        for number in range(options.rounds):
            session.round(number, options.restarts)
            # It gives memory back when something wakes it after a while.
            time.sleep(1.5)
            session.ask("ps")
            time.sleep(0.1)
            seen.append(resident(pid))
            restarts = (number + 1) * options.restarts
            all, anonymous, files = seen[-1]
            print(f"{restarts:8} {restarts * options.lines:8} {all:6.1f} {anonymous:6.1f} {files:6.1f}", flush=True)
    early = max(anonymous for _, anonymous, _ in seen[: max(1, len(seen) // 3)])
    most = max(all for all, _, _ in seen)
    if most > options.most:
        sys.exit(f"{most:.1f} MiB are more than {options.most}")
    if seen[-1][1] > early + SLACK:
        sys.exit(f"it grows: {early:.1f} MiB of its own early, {seen[-1][1]:.1f} at the end")


if __name__ == "__main__":
    main()
