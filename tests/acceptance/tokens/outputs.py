"""After everything has been stopped: every byte of what the gateways kept, said, recorded, exported and sent is
searched for tokens and what was in them."""

import base64
import json
import subprocess

from kit import canary, gateway


def search(out, world, server, mark, sent, doors, sides, tally):
    places = {}
    for name in ("doors", "keysets", "clock"):
        for file, content in canary.files(out / name / "data").items():
            places[f"the data directory of `{name}`: {file}"] = content
    for file, content in canary.files(out / "logs").items():
        places[f"what it said: {file}"] = content
    for name in ("doors", "keysets"):
        places |= records(out, name, tally)
    places["the answers"] = b"\n".join([*doors.answers, *(answer for side in sides for answer in side["answers"])])
    places["the metrics"] = doors.last_metrics
    places["the traces"] = b"\n".join(server.traces)
    places["what the server behind was sent"] = b"\n".join(server.seen)
    total = sum(map(len, places.values()))
    print(f"{len(places)} places of {total / 2**20:.1f} MiB are searched for {len(sent) + 2} secrets")
    controls(places, world, tally)
    secrets = {"the canary": mark, "the shared secret of a key set": world.secret}
    tally.check("no canary turns up anywhere", canary.sightings(secrets, places))
    # Of a token, its signature: nothing else is only its own. One is made of what is public: the key's modulus.
    everything = b"\0".join(places.values())
    modulus = world.rs.jwk()["n"]
    found = [
        name
        for name, token in sent.items()
        if leak(token) and leak(token) in everything and not token.endswith(modulus)
    ]
    tally.check("no token turns up anywhere", found)
    refusals(out, doors, tally)


def leak(token):
    """The part of a token that stands for it. Very short ones are words that may stand anywhere."""
    last = token.rsplit(".", 1)[-1]
    return last[-60:].encode() if len(last) >= 20 else None


def controls(places, world, tally):
    """The search finds what is there: who was let in, and what was sent."""
    problems = []
    for what, text, there in (
        ("the subject of good tokens", "alice@example.com", "the data directory of `doors`: log"),
        ("the subject of good tokens", "alice@example.com", "records of `doors`"),
        ("reason codes", "signature_invalid", "the data directory of `doors`: log"),
        ("reason codes", "signature_invalid", "what it said: doors.err"),
        ("reason codes", "signature_invalid", "the metrics"),
        ("the server's name", "dev/recorder", "the traces"),
        ("the tool", "safe_read", "what the server behind was sent"),
        ("refusals", "the token is not accepted", "the answers"),
    ):
        seen = canary.sightings(
            {what: text}, {name: content for name, content in places.items() if name.startswith(there)}
        )
        problems += [] if seen else [f"{what} not found in {there}"]
    tally.check("control: the search finds what is there", problems)
    spelled = canary.sightings(
        {"x": world.canary},
        {"a": base64.b64encode(b"ab" + world.canary.encode() + b"cde"), "b": world.canary.encode().hex().encode()},
    )
    tally.check("control: the search knows other spellings", [] if len(spelled) == 2 else [f"{spelled}"])


def records(out, name, tally):
    """What the commands for reading the log print."""
    data, exported = out / name / "data", out / name / "exported"
    commands = {
        "search": ("audit", "search", "--output", "json"),
        "tail": ("audit", "tail", "-n", "10000"),
        "verify": ("audit", "verify"),
        "export": ("audit", "export", str(exported)),
    }
    places = {}
    for what, words in commands.items():
        try:
            places[f"records of `{name}`: {what}"] = gateway.narrows("--data-dir", data, *words).encode()
        except subprocess.CalledProcessError as error:
            tally.check(f"`narrows audit {what}` works", f"{error} {error.stderr}")
    for file, content in canary.files(exported).items():
        places[f"records of `{name}`: export: {file}"] = content
    return places


def refusals(out, answers, tally):
    """Refused tokens are in the log by number and reason, as many as were sent."""
    counted = {}
    for file in (out / "doors" / "exported").rglob("*.jsonl"):
        for line in file.read_text().splitlines():
            record = json.loads(line)
            if record["kind"] == "authentication.failed":
                for reason, number in record["after"]["reasons"].items():
                    counted[reason] = counted.get(reason, 0) + number
    metrics = gateway.refused_tokens(answers.last_metrics)
    problems = [
        f"{reason}: {counted.get(reason, 0)} in the log, {metrics.get(reason, 0)} in the metrics"
        for reason in counted | metrics
        if counted.get(reason) != metrics.get(reason)
    ]
    tally.check(
        "refused tokens are in the log, by number and reason", problems or ([] if counted else ["there are none"])
    )
