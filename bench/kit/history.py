"""A log of many records: made through the store, measured, and put under a gateway."""

import json
import os
import random
import shutil
import subprocess
import sys
import time

from . import load, machine, subjects
from .gateway import Narrows, program

HEADING = ("records", "segments B/record", "tree B/record", "index B/record", "on disk GB",
           "`narrows audit verify` CPU s", "its memory MiB", "`narrows-verify` CPU s", "its memory MiB")
# A call is an intent and an outcome.
EXTRAPOLATED = 1_000_000_000
WORKS = {"call": load.CASES[0], "list": load.LIST, "alone": load.CASES[1]}


def build():
    machine.build("-p", "narrows-verify", "-p", "narrows-store", "--bin", "narrows-verify", "--example", "fill_log")


def prepare(directory, issuer):
    """A data directory as `narrows up` makes it at its first start."""
    with machine.Processes(directory) as processes:
        return Narrows(processes, machine.free_port(), issuer, "long").data


def sizes(data, records):
    """Fills the log up to so many records and measures what they take."""
    log = data / "log"
    origin = (log / "local" / "checkpoint").read_text().splitlines()[0]
    fill = [machine.TARGET / "examples" / "fill_log", log, origin, data / "keys" / "log-signing.pem", records]
    done = subprocess.run([str(word) for word in fill], check=True, capture_output=True, text=True)
    print(f"filled: {done.stdout.strip()}", file=sys.stderr)
    settle(data)
    own_time, own_memory, said = timed([program(), "audit", "verify", "--data-dir", data, "--output", "json"])
    records = json.loads(said)["writers"][0]["records"]
    copy = data.parent / "export"
    export = [program(), "audit", "export", "--data-dir", data, copy]
    key = subprocess.run([str(word) for word in export], check=True, capture_output=True, text=True).stdout
    key = next(word for word in key.split() if "+" in word and word.startswith(origin.rpartition("/")[0])).strip("'")
    other_time, other_memory, _ = timed([machine.TARGET / "narrows-verify", "--key", key, copy])
    shutil.rmtree(copy)
    return {"records": records, **parts(log), "own": (own_time, own_memory), "other": (other_time, other_memory)}


def settle(data):
    """Lets the index catch up with the log, as it does behind a running gateway."""
    with machine.Processes(data.parent) as processes:
        pid = processes.start("settle", [
            program(), "up", "--data-dir", data, "--allow-upstream", "127.0.0.1/32", "--listen", f"127.0.0.1:{machine.free_port()}",
            "--admin-listen", f"127.0.0.1:{machine.free_port()}"])
        time.sleep(2)
        quiet(pid)


def quiet(pid):
    """Waits until a process has nothing left to do."""
    still = 0
    while still < 3:
        before = machine.cpu_seconds(pid)
        time.sleep(1)
        still = still + 1 if machine.cpu_seconds(pid) - before < 0.03 else 0


def parts(log):
    """Bytes of a log, by what they are for."""
    found = {"segments": 0, "tree": 0, "index": 0}
    for file in log.rglob("*"):
        if file.is_file():
            index = file.name.startswith("index.db")
            kind = "segments" if file.name.startswith("segment-") else "index" if index else "tree"
            found[kind] += file.stat().st_size
    return found


def timed(command):
    """Runs it: seconds of processor time, most memory in MiB, and what it printed."""
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE)
    said = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"error: {command[0]} ended with {process.returncode}: {said}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said


def rows(sizes):
    """What was measured, and what follows for 10^9 records: on from the larger log, at the difference for a record
    between the two, and for bytes at the larger log's for a record."""
    small, large = sizes
    for one in sizes:
        yield row(one["records"], one, *one["own"], *one["other"])
    more = (EXTRAPOLATED - large["records"]) / (large["records"] - small["records"])
    beyond = [large[who][what] + more * max(0, large[who][what] - small[who][what])
              for who in ("own", "other") for what in (0, 1)]
    scale = EXTRAPOLATED / large["records"]
    whole = {kind: large[kind] * scale for kind in ("segments", "tree", "index")}
    [_, *cells] = row(EXTRAPOLATED, whole, *beyond)
    yield ["10^9, by arithmetic", *cells]


def row(records, bytes_of, own_time, own_memory, other_time, other_memory):
    kinds = [bytes_of[kind] for kind in ("segments", "tree", "index")]
    return [f"{records:,}", *(f"{size / records:.1f}" for size in kinds), f"{sum(kinds) / 1e9:,.2f}",
            f"{own_time:,.1f}", f"{own_memory:,.0f}", f"{other_time:,.1f}", f"{other_memory:,.0f}"]


def compare(directory, issuer, options):
    """Calls and lists with the long log and with an empty one: the runs, and what the starts were like."""
    generator, results, starts = random.Random(options.seed), {}, []
    with machine.Processes(directory) as processes:
        both = subjects.Subjects(processes, [], issuer, None)
        running = {}
        for name in ("empty", "long"):
            begin = time.monotonic()
            gateway = Narrows(processes, both.upstream, issuer, name)
            ready = time.monotonic() - begin
            memory = machine.memory(gateway.pid, "VmRSS") / 1024
            quiet(gateway.pid)
            running[name] = subjects.Subject(name, gateway.url, gateway.pid, issuer.token("alice"))
            starts.append([name, f"{ready:.2f}", f"{memory:.1f}"])
            subjects.prove(running[name], [load.CASES[0], load.LIST])
        for number in range(options.rounds):
            for key, case in WORKS.items():
                for name in generator.sample(list(running), len(running)):
                    run = load.run(both, running[name], case, options.seconds)
                    results.setdefault((name, key), []).append(run)
            print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    return results, starts

