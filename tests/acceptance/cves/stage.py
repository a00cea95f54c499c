"""The gateway that all of it is tried on, and what is usual for a request to it."""

import itertools
import json

from world import World
from doors import PATH, in_session, initialize, message, stateless_call
from issuer import key_set
from kit import gateway
from kit.wire import Http1

# A pattern that takes a matcher with backtracking for ever.
STARS = "file:///*a*a*a*a*a*a*a*a*b"


class Stage:
    def __init__(self, processes, keys, server, lure, out):
        self.processes, self.keys, self.server, self.lure, self.out = processes, keys, server, lure, out
        self.world = World(keys, lure.url, "canary-of-the-pack", "")
        self.world.publish(key_set)
        remote = lambda name, url: gateway.server("dev", name, transport="http", url=url)
        bound = gateway.binding("reader", "testers")
        bound["spec"]["subjects"] = [{"group": "testers", "provider": name} for name in ("builtin", "corp")]
        self.narrows = gateway.Gateway(
            processes,
            out,
            [
                gateway.namespace("dev"),
                remote("recorder", server.url),
                remote("other", f"{server.origin}/other"),
                remote("metadata-service", "http://169.254.169.254/latest/meta-data/"),
                remote("disguised", "http://2852039166/latest"),
                remote("unspecified", f"http://0.0.0.0:{lure.port}/"),
                remote("mapped", "http://[::ffff:169.254.169.254]/"),
                gateway.role(
                    "reader", gateway.allow("dev", "*", tools=["safe_*"], resources=[STARS], resourceTemplates=[STARS])
                ),
                bound,
                *(provider for provider in self.world.providers() if provider["metadata"]["name"] == "corp"),
            ],
            environment={"NARROWS_LOG": "debug"},
        )
        self.world.endpoint = self.narrows.url("dev", "recorder")
        self.process, self.port, self.admin = self.narrows.process, self.narrows.port, self.narrows.admin
        self.tokens = {name: self.narrows.token(f"{name}@example.com", "testers") for name in ("alice", "bob")}
        self.numbers = itertools.count(1)

    def bearer(self, who="alice"):
        """The header of somebody's good token, or of whatever token is given."""
        return [("Authorization", f"Bearer {self.tokens.get(who, who)}")] if who else []

    def post(self, headers, body, who="alice", path=PATH, version=Http1, more=()):
        body = body.encode() if isinstance(body, str) else body
        with version(self.port) as client:
            return client.exchange("POST", path, [*headers, *self.bearer(who), *more], body)

    def call(self, tool, who="alice", path=PATH, version=Http1, more=()):
        """A stateless call."""
        return self.post(*stateless_call(tool), who, path, version, more)

    def session(self, who="alice"):
        headers, body = initialize()
        handle = self.post(headers, body, who).header(b"mcp-session-id")
        return handle.decode()

    def in_session(self, session, who="alice", arguments=None, number=1, version=Http1):
        body = message("tools/call", {"name": "safe_read", "arguments": arguments or {"path": "a"}}, number)
        return self.post(in_session(session), body, who, version=version)

    def reached(self, work):
        """What reaches the server behind while something is done, and what that gives."""
        before = len(self.server.seen)
        given = work()
        return self.server.seen[before:], given

    def memory(self):
        """Resident memory of the gateway, in KiB."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(next(line.split()[1] for line in status if line.startswith("VmRSS")))


def unless(condition, problem):
    """No problem if the condition holds."""
    return [] if condition else [problem]


def text(answer):
    return f"{answer.status} {answer.body[:160]}"


def result(answer):
    """The text that a tool gave."""
    return json.loads(answer.body)["result"]["content"][0]["text"]
