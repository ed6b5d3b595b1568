#!/usr/bin/env python3
"""devstack beside other launchers and the least that a launcher can do, from one run.

    cargo build --release
    python3 benches/compare.py

Launchers that are not installed are left out; `--peers DIR` names another directory with programs. Linux, Python 3.9
and a C compiler are needed. All processes run on this machine; none is left when the script ends.

The samples of all launchers alternate, so that a busy minute hits each of them. Each waits until the processors are
idle, and those that waited in vain are counted.
"""

import argparse
import contextlib
import json
import os
import platform
import select
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TAG = "DEVSTACK_COMPARE"
MIB = 1024 * 1024
# Seconds until a start, a stop or the last line counts as failed.
PATIENCE = 60


class Failed(Exception):
    """A launcher did not do what was asked."""


# Launchers: each writes its file in `dir` and returns its command line.


def floor(program, dir, commands):
    return [program, "floor", str(len(commands)), *shlex.split(commands[0])]


def devstack(program, dir, commands):
    services = (f"[services.s{at}]\ncommand = '{one}'\n" for at, one in enumerate(commands))
    (dir / "devstack.toml").write_text("".join(services))
    return [program, "up"]


def procfile(*args):
    def launcher(program, dir, commands):
        lines = (f"s{at}: {one}\n" for at, one in enumerate(commands))
        (dir / "Procfile").write_text("".join(lines))
        return [program, *args]

    return launcher


def goreman(program, dir, commands):
    return procfile("-p", free_port(), "start")(program, dir, commands)


def process_compose(program, dir, commands):
    processes = {f"s{at}": {"command": one} for at, one in enumerate(commands)}
    file = {"version": "0.5", "processes": processes}
    (dir / "process-compose.yaml").write_text(json.dumps(file))
    return [program, "up", "--tui=false", "--port", free_port(), "--log-file", "own.log"]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


# Each with the arguments that print its version. mprocs and others that need a terminal are not here.
PEERS = {
    "hivemind": (procfile(), ["--version"]),
    "overmind": (procfile("start"), ["--version"]),
    "goreman": (goreman, ["version"]),
    "foreman": (procfile("start"), ["version"]),
    "honcho": (procfile("start"), ["version"]),
    "process-compose": (process_compose, ["version", "--short"]),
}


# Processes.


def tagged(tag):
    """The live processes whose environment has the tag: what a launcher started, wherever it is now."""
    entry = f"{TAG}={tag}".encode()
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            # A zombie has no environment.
            if entry in Path("/proc", name, "environ").read_bytes().split(b"\0"):
                found.append(int(name))
    return found


def end_all(tag):
    """Kills the processes with the tag, and returns how many there were at first."""
    count = len(tagged(tag))
    deadline = time.monotonic() + PATIENCE
    while (left := tagged(tag)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(OSError):
                process = os.pidfd_open(pid)
                # Not another process that has its number by now.
                if pid in tagged(tag):
                    signal.pidfd_send_signal(process, signal.SIGKILL)
                os.close(process)
        time.sleep(0.05)
    return count


def memory(pid):
    """Proportional set size in MiB: shared pages count in part."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0


def processor_times():
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(fields), fields[3] + fields[4]


class Quiet:
    """Waits for idle processors before a sample, and counts the samples that did not get them."""

    def __init__(self, patience):
        self.patience, self.samples, self.busy = patience, 0, 0

    def wait(self):
        deadline = time.monotonic() + self.patience
        self.samples += 1
        while True:
            total, idle = processor_times()
            time.sleep(0.1)
            later, later_idle = processor_times()
            if later_idle - idle >= 0.8 * (later - total):
                return
            if time.monotonic() > deadline:
                self.busy += 1
                return


def until(done, what):
    deadline = time.monotonic() + PATIENCE
    while not (result := done()):
        if time.monotonic() > deadline:
            raise Failed(f"{what} took more than {PATIENCE} s")
        time.sleep(0.005)
    return result


class Session:
    """A launcher with its services, from its start until nothing of it is left."""

    def __init__(self, place, argv, helper):
        self.notes, self.output = place / "notes", output_path(place)
        for file in (self.notes, self.output):
            file.unlink(missing_ok=True)
        self.tag = f"{os.getpid()}-{time.monotonic_ns()}"
        others = ("XDG_", "DEVSTACK_")
        keep = {key: value for key, value in os.environ.items() if not key.startswith(others)}
        with open(self.output, "ab") as output:
            self.launcher = subprocess.Popen(
                [helper, "launch", str(self.notes), *argv],
                cwd=place / "project",
                env={**keep, "HOME": str(place / "home"), TAG: self.tag},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end_all(self.tag)
        self.launcher.wait()
        self.output.unlink(missing_ok=True)

    def started(self, count):
        """Nanoseconds of the start of the launcher, and of the services by pid, when there are `count`."""

        def notes():
            lines = self.notes.read_text().splitlines() if self.notes.exists() else []
            if len(lines) > count:
                return [tuple(map(int, line.split())) for line in lines]
            if self.launcher.poll() is not None:
                said = self.output.read_text(errors="replace").strip()
                raise Failed(f"it ended during the start: {said[-300:]}")
            return None

        first, *others = until(notes, f"the start of {count} services")
        return first[1], dict(others)

    def own(self, services):
        return [pid for pid in tagged(self.tag) if pid not in services]

    def stop(self, services, whole_group):
        """Milliseconds from SIGINT until every process has ended."""
        pids = [self.launcher.pid, *(pid for pid in tagged(self.tag) if pid != self.launcher.pid)]
        ends = []
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                ends.append(os.pidfd_open(pid))
        begin = last = time.monotonic_ns()
        os.killpg(self.launcher.pid, signal.SIGINT) if whole_group else self.launcher.send_signal(signal.SIGINT)
        try:
            # The launcher is the last one as a rule, so that this script wakes up once.
            for end in ends:
                poll = select.poll()
                poll.register(end, select.POLLIN)
                if end == ends[0] or not poll.poll(0):
                    if not poll.poll(PATIENCE * 1000):
                        raise Failed(f"the stop took more than {PATIENCE} s")
                    last = time.monotonic_ns()
        finally:
            for end in ends:
                os.close(end)
        if left := end_all(self.tag):
            raise Failed(f"{left} processes were left after the stop")
        return (last - begin) / 1e6


def output_path(place):
    """In memory if the system has a directory for that: the output is not what is measured."""
    shared = Path("/dev/shm")
    return (shared if os.access(shared, os.W_OK) else place) / f"devstack-compare-{os.getpid()}"


# Samples.


def place_of(root, name, count):
    place = root / f"{name}-{count}"
    for inner in ("project", "home"):
        (place / inner).mkdir(parents=True, exist_ok=True)
    return place


def start_and_stop(tools, name, count, whole_group):
    place = place_of(tools.root, name, count)
    command = f"{tools.helper} service {place}/notes"
    launcher, program = tools.launchers[name]
    argv = launcher(program, place / "project", [command] * count)
    tools.quiet.wait()
    with Session(place, argv, tools.helper) as session:
        begin, services = session.started(count)
        tools.quiet.wait()
        own = session.own(services)
        sample = {
            "start": (max(services.values()) - begin) / 1e6,
            "memory": sum(map(memory, own)),
            "processes": len(own),
        }
        sample["Ctrl-C" if whole_group else "stop"] = session.stop(services, whole_group)
    return sample


def passes_lines(tools, name, size):
    place = place_of(tools.root, name, "lines")
    command = f"{tools.helper} lines {place}/notes {size}"
    launcher, program = tools.launchers[name]
    argv = launcher(program, place / "project", [command])
    if name == "floor":
        argv = ["sh", "-c", f"{command} | cat"]
    tools.quiet.wait()
    with Session(place, argv, tools.helper) as session:
        _, services = session.started(1)

        def last_line():
            with open(session.output, "rb") as output:
                output.seek(max(0, os.stat(session.output).st_size - 4096))
                return b"compare-end" in output.read()

        until(last_line, "passing the lines on")
        took = time.monotonic_ns() - next(iter(services.values()))
        with open(session.output, "rb") as output:
            shown = sum(b"x" * 99 in line for line in output)
        with contextlib.suppress(Failed):
            session.stop(services, True)
    return {"speed": size / 1e6 / (took / 1e9), "shown": 100 * shown / (size // 100)}


def alternate(tools, names, runs, what, measure):
    """The samples of each launcher, round by round. The first round warms up and does not count."""
    samples = {name: [] for name in names}
    for number in range(runs + 1):
        for name in names:
            print(f"\r{what}: round {number} of {runs}: {name:20}", end="", file=sys.stderr, flush=True)
            if name in tools.failures.get(what, {}):
                continue
            try:
                sample = measure(name)
                if number > 0:
                    samples[name].append(sample)
            except Failed as failure:
                tools.failures.setdefault(what, {})[name] = str(failure)
    print("\r" + " " * 70 + "\r", end="", file=sys.stderr)
    return samples


# Tables.


def digits(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def cell(samples, name, key, best=min):
    """Median, best and how many times the floor it is."""
    values = {one: [sample[key] for sample in samples[one] if key in sample] for one in (name, "floor")}
    if not values[name]:
        return "failed"
    middle = statistics.median(values[name])
    text = f"{digits(middle)} ({digits(best(values[name]))})"
    if name != "floor" and values["floor"]:
        times = middle / statistics.median(values["floor"])
        text += f" {times:.0f}×" if times >= 10 else f" {times:.2g}×"
    return text


def middle(samples, name, key):
    values = [sample[key] for sample in samples[name]]
    return digits(statistics.median(values)) if values else "failed"


def times_table(results):
    yield "| services | launcher | start, ms | stop, ms | Ctrl-C, ms | memory, MiB | own processes |"
    yield "|---|---|---|---|---|---|---|"
    for count, samples in results.items():
        for name in samples:
            cells = [cell(samples, name, key) for key in ("start", "stop", "Ctrl-C")]
            cells += [middle(samples, name, "memory"), middle(samples, name, "processes").removesuffix(".0")]
            yield f"| {count} | {name} | " + " | ".join(cells) + " |"


def lines_table(samples):
    yield "| launcher | MB/s | lines shown |"
    yield "|---|---|---|"
    for name in samples:
        shown = middle(samples, name, "shown").removesuffix(".0")
        named = "`cat`, the floor" if name == "floor" else name
        yield f"| {named} | {cell(samples, name, 'speed', max)} | {shown} % |"


def version(program, args):
    ended = subprocess.run([program, *args], capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    words = ended.stdout.split()
    return next((word for word in words if word.lstrip("v")[:1].isdigit()), "?")


def machine():
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].split(":", 1)[1].strip() if models else platform.machine()
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / MIB / 1024
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {total:.0f} GiB, Linux {platform.release()}"


def load():
    return f"{os.getloadavg()[0]:.1f}"


class Tools:
    """What all samples use."""

    def __init__(self, options, root):
        self.root, self.failures = root, {}
        self.quiet = Quiet(0.2 if options.quick else 2)
        self.helper = str(root / "compare")
        subprocess.run([options.cc, "-O2", "-o", self.helper, HERE / "compare.c"], check=True)
        own = str(Path(options.devstack).resolve())
        self.launchers = {"floor": (floor, self.helper), "devstack": (devstack, own)}
        self.versions = [f"devstack {version(own, ['--version'])}"]
        for name, (launcher, args) in PEERS.items():
            path = os.pathsep.join([*options.peers, os.environ.get("PATH", "")])
            if program := shutil.which(name, path=path):
                self.launchers[name] = (launcher, str(Path(program).absolute()))
                self.versions.append(f"{name} {version(program, args)}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    built = HERE.parent / "target/release/devstack"
    parser.add_argument("--devstack", default=built, metavar="PATH", help="default: target/release/devstack")
    parser.add_argument("--peers", action="append", default=[], metavar="DIR", help="programs that are not on PATH")
    parser.add_argument("--only", metavar="NAME,...", help="these launchers beside the floor")
    parser.add_argument("--n", default="1,10,100", metavar="N,...", help="numbers of services; default: 1,10,100")
    parser.add_argument("--runs", type=int, default=10, help="rounds that count; default: 10")
    parser.add_argument("--megabytes", type=int, default=200, help="of lines, 0 for none; default: 200")
    parser.add_argument("--cc", default="cc", help="C compiler; default: cc")
    parser.add_argument("--quick", action="store_true", help="two rounds, 20 MB and little patience: does it work?")
    options = parser.parse_args()
    if options.quick:
        options.runs, options.megabytes = 2, 20
    if not os.access(options.devstack, os.X_OK):
        parser.error(f"no program {options.devstack}; run `cargo build --release` or use --devstack")
    if not shutil.which(options.cc):
        parser.error(f"no C compiler `{options.cc}`; install one or use --cc")
    return options


def main():
    options = parse()
    # So that everything is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="compare-") as root:
        tools = Tools(options, Path(root))
        wanted = options.only.split(",") if options.only else list(tools.launchers)
        names = [name for name in tools.launchers if name == "floor" or name in wanted]
        load_before, begin = load(), time.monotonic()
        results = {}
        for count in map(int, options.n.split(",")):

            def both(name, count=count):
                stopped = start_and_stop(tools, name, count, False)
                return stopped | {"Ctrl-C": start_and_stop(tools, name, count, True)["Ctrl-C"]}

            results[count] = alternate(tools, names, options.runs, f"{count} services", both)
        # What the warm-up showed bounds a sample to a few seconds. A few samples are enough.
        size, speeds = options.megabytes * 1_000_000, {}

        def lines_of(name):
            bounded = min(size, int(speeds.get(name, size / 500) * 5) + 100)
            sample = passes_lines(tools, name, bounded // 100 * 100)
            speeds.setdefault(name, sample["speed"] * 1e6)
            return sample

        lines = size and alternate(tools, names, max(1, options.runs // 2), "lines", lines_of)
        print(f"{machine()}  ")
        print(f"{', '.join(tools.versions)}  ")
        minutes = (time.monotonic() - begin) / 60
        print(f"{options.runs} rounds in {minutes:.0f} min; load {load_before} before, {load()} after;", end=" ")
        print(f"{tools.quiet.busy} of {tools.quiet.samples} waits for idle processors were in vain\n")
        print("Median (best) and the ratio to the floor.\n")
        print("\n".join(times_table(results)))
        if lines:
            print(f"\nUp to {options.megabytes} MB, at most five seconds of it, in lines of 100 bytes:\n")
            print("\n".join(lines_table(lines)))
        for what, failures in tools.failures.items():
            for name, why in failures.items():
                print(f"\n{name}, {what}: {why}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
