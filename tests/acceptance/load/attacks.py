"""Attacks, one after the other, while ten thousand idle streams stay open. Honest clients are measured beside each; after
each, an honest call works and descriptors and memory are given back."""

import dataclasses
import random
import resource
import statistics
import time

import bombs
import memory
from kit.tally import table
from stage import MIB, Stage, mib

LIMIT = 400 * MIB
P99 = 50.0
# Streams over HTTP/1.1; the others are over HTTP/2. Each stream has a connection of its own to the server, so that with
# slow clients beside them all together stay below 20,000 descriptors, which is a usual hard limit.
HTTP_1 = 4000
SLOW = 5000
SECONDS = 4
# Of what an attack used, so much may stay with the allocator, to be used by the next.
KEPT = 40 * MIB
# Seconds within which the rest is given back. The allocator does so when it is asked for something, so there are calls.
GIVEN_BACK = 10


@dataclasses.dataclass
class Expected:
    """What shows that a flood is one: so many rounds of frames, connections that are cut, so many requests admitted,
    honest ones included, of which there are a hundred a second."""

    rounds: int
    cut: bool = True
    admitted: int = 0


FLOODS = {
    "rapid-reset": Expected(100_000),
    "rapid-reset-with-token": Expected(100_000, admitted=2000),
    "made-reset": Expected(100_000),
    "continuation": Expected(10_000),
    "hpack-bomb": Expected(10_000),
    # Eight connections of 240 requests each, which are held.
    "zero-window": Expected(8 * 240, cut=False, admitted=1000),
    "ping": Expected(100_000),
    "settings": Expected(100_000),
    "empty-data": Expected(100_000),
    "priority": Expected(100_000),
    "window-update": Expected(100_000),
}
NAMES = ["slow clients", "large bodies", "slow readers", "bombs", "sessions", *FLOODS]


class Attacks:
    def __init__(self, stage, tally, options):
        self.stage, self.tally, self.options = stage, tally, options
        self.rows = []

    def phase(self, name, attack, seconds=0, opens=0):
        """One attack, and what it does to others. `attack` returns what it saw. `opens` descriptors are to stay open.

        A p99 over the bound is measured twice more, and the median counts: other work on the machine is no attack."""
        if self.options.attack and name not in self.options.attack:
            return
        problems, p99s = [], []
        again = 0 if opens or self.options.untimed else 2
        while not p99s or (p99s[0] > P99 and len(p99s) <= again):
            p99s.append(self.attempt(name, attack, seconds, opens, problems))
        if statistics.median(p99s) > P99:
            said = f"the honest p99 is {' and '.join(map(str, p99s))} ms"
            if self.options.untimed:
                print(f"not judged: under {name} {said}")
            else:
                problems.append(said)
        self.tally.check(f"under {name}", problems)

    def attempt(self, name, attack, seconds, opens, problems):
        """The honest p99 beside one attack."""
        stage = self.stage
        descriptors, resident = stage.descriptors(), stage.resident()
        cpu, waited, begin = stage.cpu(), stage.waited(), time.monotonic()
        with stage.watched() as peak:
            honest = stage.honest_calls()
            time.sleep(seconds)
            said = attack(problems)
            seen = honest.end()
        took = time.monotonic() - begin
        used, waited = (stage.cpu() - cpu) / took, (stage.waited() - waited) / took
        left = stage.settled(descriptors + opens + 4) - descriptors
        if left > opens + 4:
            problems.append(f"{left - opens} descriptors are not given back")
        if stage.narrows.process.poll() is not None:
            problems.append(f"the process has ended with {stage.narrows.process.returncode}")
        problems += [f"honest calls: {count} x {reason}" for reason, count in seen["failed"].items()]
        if seen["ok"] < 50 * took:
            problems.append(f"only {seen['ok']} honest calls in {took:.1f} s")
        if peak["resident"] > LIMIT:
            problems.append(f"{mib(peak['resident'])} MiB resident")
        after, later = self.given_back(resident, opens, problems)
        self.rows.append([name, seen["ok"], seen["p50"], seen["p99"], seen["max"], f"{used:.2f}", f"{waited:.2f}", mib(resident),
                          mib(peak["resident"]), mib(after), f"{later:.1f}", peak["descriptors"]])
        print(f"{name}: {said}")
        return seen["p99"]

    def given_back(self, resident, opens, problems):
        """Waits until memory is given back, with an honest call now and then; how much is left, and after how long."""
        ended = time.monotonic()
        while True:
            if (problem := self.stage.honest_call()) is not None:
                problems.append(problem)
            after, later = memory.quiet(self.stage), time.monotonic() - ended
            if opens or after - resident <= KEPT or problem is not None:
                return after, later
            if later > GIVEN_BACK:
                problems.append(f"{mib(after - resident)} MiB are not given back")
                return after, later

    def streams(self, problems):
        wanted = self.options.streams
        self.held = self.stage.load("streams", "--http1", min(HTTP_1, wanted), "--http2", max(0, wanted - HTTP_1))
        said = self.held.ready()
        if said["open"] != wanted:
            problems.append(f"{said['open']} of {wanted} streams open: {said['failed']}")
        time.sleep(3)
        return said

    def slow(self, problems):
        before = self.stage.cut()
        load = self.stage.load("slow", "--heads", SLOW // 2, "--bodies", SLOW - SLOW // 2)
        load.ready()
        # Long enough for both of the gateway's timeouts, for heads and for bodies.
        time.sleep(33)
        said = load.end()
        if said["ended"].get("status 408", 0) < SLOW // 4:
            problems.append(f"slow bodies are not ended: {said}")
        if said["begun"] < SLOW * 3 // 2:
            problems.append(f"slow heads are not ended: {said}")
        counted = self.stage.cut() - before
        if min(counted["slow_head"], counted["slow_body"]) < SLOW // 4:
            problems.append(f"an operator would not see it: {dict(counted)} are counted")
        return said

    def large_bodies(self, problems):
        load = self.stage.load("slow", "--bodies", 400, "--filled", 3 * MIB)
        load.ready()
        time.sleep(8)
        return load.end()

    def flood(self, kind):
        def attack(problems):
            seconds, before, counted = SECONDS * (5 if self.options.full else 1), self.stage.admitted(), self.stage.cut()
            said = self.stage.load("flood", "--kind", kind, "--seconds", seconds).result()
            said["admitted"] = self.stage.admitted() - before
            said["counted"] = dict(self.stage.cut() - counted)
            problems += self.not_a_flood(kind, said)
            return said
        return attack

    def not_a_flood(self, kind, said):
        """What shows that a flood was none, or that nothing stopped it."""
        expected = FLOODS[kind]
        if said["rounds"] < expected.rounds:
            yield f"only {said['rounds']} rounds"
        if said["admitted"] < expected.admitted:
            yield f"only {said['admitted']} requests were admitted"
        cut = said["connections"] - said["ended"].get("time", 0)
        if expected.cut and cut < 8:
            yield f"only {cut} connections were cut: {said['ended']}"
        if expected.cut and sum(said["counted"].values()) < 8:
            yield f"an operator would not see it: {said['counted']} are counted"

    def slow_readers(self, problems):
        load = self.stage.load("slow-readers", "--count", 200, "--bytes", 8 * MIB)
        load.ready()
        time.sleep(5)
        return load.end()

    def bombs(self, problems):
        said = bombs.throw(self.stage.narrows.port, self.stage.tokens.read_text().split()[0])
        problems += said.pop("problems")
        return said

    def sessions(self, problems):
        count = 1_000_000 if self.options.full else 50_000
        # Most of what is there once is there after the first ones.
        first = self.stage.load("sessions", "--count", count // 5).result()
        before = self.stage.resident()
        said = self.stage.load("sessions", "--count", count - count // 5).result()
        slope = (self.stage.resident() - before) / (count - count // 5)
        for reason, number in [*first["failed"].items(), *said["failed"].items()]:
            problems.append(f"sessions: {number} x {reason}")
        if slope > 64:
            problems.append(f"{slope:.0f} bytes stay for each session")
        return f"{count} sessions, {slope:.1f} bytes of memory for each; {said}"


def run(processes, directory, tally, options):
    seed = random.randrange(1 << 32)
    print(f"attacks: seed {seed}, open files {resource.getrlimit(resource.RLIMIT_NOFILE)}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = options.streams + min(HTTP_1, options.streams) + SLOW + 800
    if hard != resource.RLIM_INFINITY and hard < needed:
        tally.cannot_run("attacks", f"the hard limit of open files is {hard}, and {needed} are needed")
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    attacks = Attacks(Stage(processes, directory), tally, options)
    attacks.phase("nothing", lambda problems: "only honest calls", seconds=4)
    if options.streams:
        # The client's side and the server's, where HTTP/2 has 200 streams on one connection.
        first = min(HTTP_1, options.streams)
        opens = 2 * first + (options.streams - first) * 201 // 200 + 1
        if options.attack:
            attacks.streams([])
        else:
            attacks.phase("idle streams", attacks.streams, opens=opens)
    order = [("slow clients", attacks.slow), ("large bodies", attacks.large_bodies),
             ("slow readers", attacks.slow_readers), ("bombs", attacks.bombs), ("sessions", attacks.sessions)]
    order += [(kind, attacks.flood(kind)) for kind in FLOODS]
    random.Random(seed).shuffle(order)
    try:
        for name, attack in order:
            attacks.phase(name, attack)
        if options.streams:
            ended = attacks.held.end()["ended"]
            tally.check("the idle streams outlive all of it", None if not ended else f"ended: {ended}")
            attacks.stage.settled(200)
            print(f"after the streams: {mib(attacks.stage.resident())} MiB, {attacks.stage.descriptors()} descriptors")
    finally:
        table(["beside", "calls", "p50 ms", "p99", "max", "CPU", "waited", "MiB before", "most", "after", "s later", "files"], attacks.rows)
    tally.check("the process ends in order", None if attacks.stage.narrows.stop() == 0 else "it did not exit with 0")
