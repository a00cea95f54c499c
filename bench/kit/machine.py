"""The machine: where things are, processes and what they use, and the disk."""

import os
import pathlib
import platform
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "bench"
# The binaries that are measured. Those of NARROWS_BIN_DIR are taken as they are.
BUILT = os.environ.get("NARROWS_BIN_DIR")
TARGET = pathlib.Path(BUILT or pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release").absolute()
TICK = os.sysconf("SC_CLK_TCK")
# What a subject that needs it is left out for the want of.
PACKAGES = {"wrk": "wrk", "haproxy": "haproxy", "nginx": "nginx-light", "openssl": "openssl"}


def build(*more):
    """Builds what is measured, as it is shipped, and what it takes to measure it."""
    build_only("-p", "narrows", "--bin", "narrows", "--example", "bench_upstream", *more)


def build_only(*what):
    """Builds these, unless what is measured is ready."""
    if not BUILT:
        subprocess.run(["cargo", "build", "--release", "--locked", *what], cwd=ROOT, check=True)


def fresh(directory):
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def missing(tool):
    """Says loudly that a tool is not there; whether it is not."""
    if shutil.which(tool):
        return False
    print(f"NOT RUN  there is no `{tool}`; Debian has it: apt-get install {PACKAGES[tool]}", file=sys.stderr)
    return True


def many_descriptors():
    """Thousands of streams want thousands of descriptors, here and in what is started."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Processes:
    """Those that were started, so that they can be ended: what was started last, first."""

    def __init__(self, directory):
        self.directory = directory
        self.running = []

    def start(self, name, command):
        command = [str(word) for word in command]
        with open(self.directory / f"{name}.out", "wb") as out, open(self.directory / f"{name}.err", "wb") as err:
            process = subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
        self.running.append(process)
        return process.pid

    def end(self):
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()

    def __enter__(self):
        # Told to end, a program still ends what it has started.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        return self

    def __exit__(self, *_):
        self.end()


def tree(pid):
    """A process and all that descend from it."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += tree(int(child))
    return found


def cpu_seconds(pid):
    """User and system time of a process, its descendants and those that it has waited for."""
    total = 0
    for one in tree(pid):
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(field) for field in fields[11:15])
    return total / TICK


def memory(pid, field):
    """KiB of a process and its descendants: `VmRSS`, or `VmHWM` for the most there has been. Pages that processes
    share count for each of them."""
    total = 0
    for one in tree(pid):
        status = pathlib.Path(f"/proc/{one}/status").read_text()
        total += int(status.split(f"{field}:")[1].split()[0])
    return total


def sync_micros(directory, seconds=0.5):
    """The median time, in microseconds, of an append of 700 bytes (an intent's size) and its fdatasync."""
    file = directory / "sync-probe"
    line, times = b"x" * 699 + b"\n", []
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begin = time.perf_counter()
            os.write(descriptor, line)
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - begin)
    finally:
        os.close(descriptor)
        file.unlink()
    return statistics.median(times) * 1e6


def wait_for(port, directory):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"error: nothing listens on port {port}; see {directory}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def describe():
    """Date, commit, machine and load, in one line."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip() or "unknown"
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return (f"{time.strftime('%Y-%m-%d')}, commit {commit}, {os.cpu_count()} processors ({processor()}), "
            f"Linux {platform.release()}, load average at the start {load}")


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
