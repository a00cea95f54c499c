"""Servers that misbehave, each in its way. The caller gets an error that says so, or what came and a cut; each call has
its outcome; the next call to another server is served; nothing that came for one call is an answer to another."""

import collections
import json

# What a call to each comes to, as (HTTP status, JSON-RPC code); without a code, what came is passed on.
EXPECTED = {
    "hang": {(0, None)},
    "drip": {(200, None), (0, None)},
    "drip-head": {(0, None)},
    "reset": {(502, -31502)},
    "status-500": {(502, -31502)},
    "status-503": {(502, -31502)},
    "half": {(502, -31502)},
    "half-events": {(200, None)},
    "twice": {(200, None)},
    "twice-http": {(200, None)},
    "other-id": {(502, -31502)},
    "other-id-events": {(200, None)},
}
BROKEN = -31502
# Of those with 200: how many results come, and how many errors with the code for a server that breaks the protocol.
MESSAGES = {"twice": (1, 0), "twice-http": (1, 0), "half-events": (0, 1), "other-id-events": (0, 1)}
# How the record says that it ended.
ENDINGS = {
    "hang": {"cancelled"}, "drip": {"cancelled"}, "drip-head": {"cancelled"}, "reset": {"error"}, "status-500": {"error"},
    "status-503": {"error"}, "half": {"error"}, "half-events": {"error"}, "twice": {"ok"}, "twice-http": {"ok"},
    "other-id": {"error"}, "other-id-events": {"error"},
}
# How long the caller waits.
PATIENCE = {"hang": 1, "drip": 1.5, "drip-head": 1.5}
CALLS = 6


async def misbehaving(world, tally):
    rows = []
    for server, expected in EXPECTED.items():
        count = CALLS
        callers = [world.caller(server, world.bad_token, PATIENCE.get(server, 20)) for _ in range(2)]
        said, problems = collections.Counter(), []
        for number in range(count):
            answer = await callers[number % 2].call("json_read", {"id": f"{server}-{number}"})
            found = (answer.status, answer.error())
            said[found] += 1
            if found not in expected:
                problems.append(f"answered with {found}: {answer.body[:300]!r} {answer.problem or ''}")
            elif answer.status == 200:
                problems += results(server, answer)
        for caller in callers:
            caller.close()
        # What was left over must not be the answer to this.
        after = await world.until(lambda call: call.answer.status == 200, 3)
        if after is None:
            problems.append("another server is not served after it")
        problems += world.alive()
        tally.check(f"a server that misbehaves: {server}", problems[:5])
        text = ", ".join(f"{status}/{code}" if code else str(status) for status, code in said)
        rows.append([server, count, text])
    return rows


def results(server, answer):
    """What is wrong with a body that was passed on."""
    messages = []
    if "event-stream" in answer.headers.get("content-type", ""):
        for line in answer.body.split(b"\n"):
            if line.startswith(b"data:") and line[5:].strip():
                messages.append(json.loads(line[5:]))
    elif answer.whole:
        messages.append(json.loads(answer.body))
    ours = [message for message in messages if message.get("error", {}).get("code") == BROKEN]
    found = (sum("result" in message for message in messages), len(ours))
    if server in MESSAGES and (found != MESSAGES[server] or not answer.whole):
        return [f"{found} results and errors came, expected {MESSAGES[server]}: {answer.body[:300]!r} {answer.problem or ''}"]
    return []


def recorded(world, tally):
    """Each call to them, by what the record says: admitted once, and ended as it did."""
    digest = world.oracle.digest
    for server, endings in ENDINGS.items():
        count, problems = CALLS, []
        for number in range(count):
            status = world.oracle.ends.get(digest(f'{{"id":"{server}-{number}"}}'))
            if status not in endings:
                problems.append(f"{server}-{number} is recorded as `{status}`")
        tally.check(f"a server that misbehaves is recorded: {server}", problems[:3])
