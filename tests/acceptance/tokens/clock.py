"""The wall clock, stepped and stopped: a day each way, past an issuer's outage, and at the very second at which a token
begins and ceases to count. It is the gateway's own clock that is changed, by libfaketime; nothing else notices."""

import glob
import os
import time

from doors import PATH, stateless_call
from issuer import key_set, status
from keys import ABSENT, Key
from kit import gateway
from kit.wire import Http1
from world import AUDIENCE, DAY, HOUR, good_claims

LIBRARIES = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib*/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
)


def library():
    return next((path for pattern in LIBRARIES for path in glob.glob(pattern)), None)


class Stage:
    def __init__(self, directory, found, keys, mark):
        self.file, self.found, self.keys, self.mark = directory / "clock", found, keys, mark
        self.key = Key("main", "ES256")
        self.offset, self.frozen = 0, None
        self.write("+0")

    def write(self, text):
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text + "\n")
        os.replace(fresh, self.file)  # never half a time

    def step(self, seconds):
        self.offset, self.frozen = seconds, None
        self.write(f"{seconds:+d}")

    def freeze(self, second):
        self.frozen = second
        self.write(time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second)))

    def now(self):
        return self.frozen if self.frozen is not None else int(time.time()) + self.offset

    def token(self, issuer="outage", **claims):
        issuer = f"{self.keys.url}/clock-{issuer}"
        return self.key.token(good_claims(issuer, self.now(), **{"note": self.mark, **claims}))

    def ask(self, name, token):
        self.found["sent"][f"clock: {name}"] = token
        headers, body = stateless_call()
        with Http1(self.port) as client:
            answer = client.exchange("POST", PATH, [*headers, ("Authorization", f"Bearer {token}")], body)
        self.found["answers"].append(answer.every_byte() if answer.status != 200 else b"")
        return answer

    def check(self, name, token, *expected):
        answer = self.ask(name, token)
        problems = [] if answer.status in expected else [f"{answer.status} instead of {expected}: {answer.body[:150]}"]
        self.found["checks"].append((f"clock: {name}", problems))

    def wait(self, name, token):
        """Waits until a token is accepted, which may take until the keys may be asked for again."""
        deadline = time.monotonic() + 45
        while (answer := self.ask(name, token)).status != 200 and time.monotonic() < deadline:
            time.sleep(1)
        self.found["checks"].append((f"clock: {name}", [] if answer.status == 200 else [f"{answer.status} after 45 s"]))


def run(processes, keys, recorder, mark, directory, found):
    faketime = library()
    if faketime is None:
        found["not run"] = ("the clock stepped and stopped", "there is no libfaketime (Debian: libfaketime)")
        return
    stage = Stage(directory, found, keys, mark)
    resources = [
        gateway.namespace("dev"),
        gateway.server("dev", "recorder", transport="http", url=recorder.url),
        gateway.role("reader", gateway.allow("dev", "recorder", tools=["safe_*"])),
        gateway.binding("reader", "testers"),
    ]
    names = ("clock-outage", "clock-well")
    resources[-1]["spec"]["subjects"] = [{"group": "testers", "provider": name} for name in (*names, "builtin")]
    for name in names:
        keys.set(f"/{name}/keys", key_set(stage.key.jwk()))
        issuer = f"{keys.url}/{name}"
        resources.append(
            {
                "kind": "IdentityProvider",
                "metadata": {"name": name},
                "spec": {"issuer": issuer, "jwksUrl": f"{issuer}/keys", "audiences": [AUDIENCE]},
            }
        )
    environment = {
        "LD_PRELOAD": faketime,
        "FAKETIME_TIMESTAMP_FILE": str(stage.file),
        "FAKETIME_NO_CACHE": "1",
        "TZ": "UTC",
        # Timeouts are no matter of the wall clock, and go on as they do.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "NARROWS_LOG": "trace",
    }

    def start(name):
        narrows = gateway.Gateway(processes, directory, resources, name=name, environment=environment)
        stage.port = narrows.port
        return narrows

    narrows = start("clock-1")
    builtin = narrows.token("alice@example.com", "testers")
    boundaries(stage)
    outage(stage, keys)
    steps(stage, builtin)
    stop(found, narrows)
    restarts(stage, start, found)


def steps(stage, builtin):
    """A day each way, while it runs. What was accepted before a step is judged anew after it."""
    token = stage.token()
    stage.check("control: a good token", token, 200)
    stage.check("control: a token of the built-in issuer", builtin, 200)
    # The keys are more than a day old, then, and not believed before they have been fetched again. After a day to the
    # second they would be, and whether it is one depends on how fast all of this goes.
    stage.step(DAY + 60)
    stage.check("a day later, a token that was accepted is not any more", token, 401, 503)
    stage.check("a day later, one of the built-in issuer has expired", builtin, 401)
    stage.wait("control: a day later, a token of that day, without a restart", stage.token("well"))
    stage.wait("control: a day later, a token of that day of the other issuer", stage.token())
    stage.check("a day later, a token that was accepted has expired", token, 401)
    late = stage.token("well")
    stage.step(-DAY)
    stage.check("a day earlier, a token that was accepted is not yet issued", token, 401)
    stage.check("a day earlier, neither is one of two days later", late, 401)
    stage.check("a day earlier, neither is one of the built-in issuer", builtin, 401)
    stage.check("control: a day earlier, a token of that day", stage.token(), 200)
    stage.check(
        "a day earlier, one without iat lives too long", stage.token(iat=ABSENT, exp=int(time.time()) + HOUR), 401
    )
    stage.step(0)
    stage.check("control: the clock back where it was", token, 200)


def boundaries(stage):
    """With the clock stopped, to the second: 30 s of leeway, and not one more."""
    second = int(time.time())
    stage.freeze(second)
    for name, claims, expected in (
        ("expired 29 s ago", {"exp": second - 29, "iat": second - 60}, 200),
        ("expired 30 s ago", {"exp": second - 30, "iat": second - 60}, 401),
        ("expired 31 s ago", {"exp": second - 31, "iat": second - 60}, 401),
        ("nbf 30 s ahead", {"nbf": second + 30}, 200),
        ("nbf 31 s ahead", {"nbf": second + 31}, 401),
        ("iat 30 s ahead", {"iat": second + 30}, 200),
        ("iat 31 s ahead", {"iat": second + 31}, 401),
        ("a lifetime of 24 hours", {"iat": second, "exp": second + DAY}, 200),
        ("a lifetime of 24 hours and a second", {"iat": second, "exp": second + DAY + 1}, 401),
        ("no iat, and 24 hours left", {"iat": ABSENT, "exp": second + DAY}, 200),
        ("no iat, and 24 hours and a second left", {"iat": ABSENT, "exp": second + DAY + 1}, 401),
    ):
        stage.check(f"stopped, a token with {name}", stage.token(**claims), expected)
    stage.step(0)


def outage(stage, keys):
    """The last good set is good for 24 hours, then no longer: what the issuer has removed since is not known."""
    paths = ("/clock-outage/keys", "/clock-well/keys")
    for path in paths:
        keys.set(path, status(500))
    for hours, expected in ((1, 200), (23, 200), (25, 503), (48, 503), (23, 200)):
        stage.step(hours * HOUR)
        stage.check(f"after {hours} hours without the issuer", stage.token(jti=str(hours)), expected)
    stage.step(23 * HOUR)
    accepted = stage.token(exp=stage.now() + 20 * HOUR)
    stage.check("control: a token that lives on, after 23 hours", accepted, 200)
    stage.step(25 * HOUR)
    stage.check("a token that was accepted is not, once the keys are too old", accepted, 503)
    stage.step(0)
    for path in paths:
        keys.set(path, key_set(stage.key.jwk()))


def restarts(stage, start, found):
    """The copy of the keys is as old after a restart as it was before. It was fetched on the day that was last."""
    stage.keys.set("/clock-outage/keys", status(500))
    for hours, expected in ((23, 200), (25, 503), (-2, 503)):
        stage.step(DAY + hours * HOUR)
        narrows = start(f"clock-restart{hours:+d}")
        ago = (
            f"{-hours} hours before its keys were fetched"
            if hours < 0
            else f"{hours} hours after its keys were fetched"
        )
        stage.check(f"started {ago}, the issuer away", stage.token(), expected)
        stop(found, narrows)


def stop(found, narrows):
    found["checks"].append(
        ("clock: the gateway stops when told to", [] if narrows.stop() == 0 else ["it did not exit with 0"])
    )
