#!/usr/bin/env python3
"""How long `devstack down` needs for a service that forks without end.

    cargo build --release --bin devstack
    python3 benches/fork_bomb.py

Linux with a pids controller, root, Python 3.9 and a C compiler are needed. The service runs in a control group of its
own, with at most `--processes` processes and the time of `--cpus` processors, so that the machine survives a devstack that
fails. `--sessions` gives each process a session of its own. Whatever is left is killed by the group, and counted.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PERIOD = 100_000  # microseconds
BOMB = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    for (;;) {
        pid_t pid = fork();
        if (pid == 0 && argc > 1) setsid();
        if (pid < 0) usleep(1000);
    }
}
"""


class Group:
    """A control group with limits, of the first or the second version."""

    def __init__(self, processes, cpus):
        name = f"devstack-bomb-{os.getpid()}"
        root = Path("/sys/fs/cgroup")
        if (root / "pids").is_dir():
            self.pids, cpu = root / "pids" / name, root / "cpu" / name
        else:
            self.pids = cpu = root / name
        self.groups = list(dict.fromkeys((self.pids, cpu)))
        for group in self.groups:
            group.mkdir()
        (self.pids / "pids.max").write_text(str(processes))
        quota = int(cpus * PERIOD)
        if self.pids == cpu:
            (cpu / "cpu.max").write_text(f"{quota} {PERIOD}")
        else:
            (cpu / "cpu.cfs_quota_us").write_text(str(quota))

    def enter(self):
        """Shell words by which a shell joins the group."""
        return " && ".join(f"echo $$ > {group}/cgroup.procs" for group in self.groups)

    def members(self):
        return [int(pid) for pid in (self.pids / "cgroup.procs").read_text().split()]

    def remove(self):
        while left := self.members():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for group in self.groups:
            with contextlib.suppress(OSError):
                group.rmdir()


def timed(command, cwd, env):
    start = time.monotonic()
    ended = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    return time.monotonic() - start, ended


def one_round(options, project, env, bomb):
    group = Group(options.processes, options.cpus)
    try:
        words = f"{bomb} sessions" if options.sessions else str(bomb)
        (project / "devstack.toml").write_text(f"[services.bomb]\ncommand = '''{group.enter()} && exec {words}'''\n")
        _, up = timed([options.devstack, "up", "-d"], project, env)
        if up.returncode != 0:
            sys.exit(f"`devstack up -d` ended with {up.returncode}:\n{up.stderr}{up.stdout}")
        deadline = time.monotonic() + 30
        while len(group.members()) < options.processes * 9 // 10:
            if time.monotonic() > deadline:
                sys.exit(f"only {len(group.members())} processes after 30 s")
            time.sleep(0.01)
        ps, seen = timed([options.devstack, "ps"], project, env)
        down, ended = timed([options.devstack, "down"], project, env)
        print(f"{len(group.members()):>4} left   ps {ps:6.2f} s ({seen.returncode})   down {down:6.2f} s ({ended.returncode})",
              flush=True)
        for command in (seen, ended):
            if command.returncode:
                print(command.stderr or command.stdout, end="", flush=True)
        return down, len(group.members())
    finally:
        timed([options.devstack, "down"], project, env)
        group.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--devstack", type=Path, default=ROOT / "target/release/devstack")
    parser.add_argument("--processes", type=int, default=400)
    parser.add_argument("--cpus", type=float, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sessions", action="store_true", help="each process has a session of its own")
    options = parser.parse_args()
    options.devstack = options.devstack.resolve()
    with tempfile.TemporaryDirectory(prefix="devstack-bomb-") as scratch:
        scratch = Path(scratch)
        project = scratch / "app"
        project.mkdir()
        (scratch / "bomb.c").write_text(BOMB)
        bomb = scratch / "bomb"
        subprocess.run(["cc", "-O2", "-o", bomb, scratch / "bomb.c"], check=True)
        env = {**os.environ, "HOME": str(scratch), "XDG_RUNTIME_DIR": str(scratch), "DEVSTACK_RUNTIME_DIR": str(scratch / "run")}
        downs, left = zip(*(one_round(options, project, env, bomb) for _ in range(options.rounds)))
    print(f"{options.processes} processes, {options.cpus:g} processors: at most {max(downs):.2f} s, {sum(left)} processes left")
    sys.exit(1 if sum(left) else 0)


if __name__ == "__main__":
    main()
