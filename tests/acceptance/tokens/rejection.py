"""Each token at each door, over HTTP/1.1 and HTTP/2, and what must be true of each refusal."""

import collections
import contextlib
import itertools

import corpus
from doors import PATH, STREAM, Http2, doors, in_session, initialize, stateless_call
from kit import gateway
from kit.tally import table
from kit.wire import Http1

METADATA = "/.well-known/oauth-protected-resource"
# What each good request is answered with at each door.
ACCEPTED = {
    "POST initialize": 200,
    "POST in a session": 200,
    "POST stateless": 200,
    "GET, a stream": 200,
    "DELETE, a session": 204,
    "POST /mcp": 404,
    "GET /mcp": 404,
    "POST to no server": 404,
}


class Rejection:
    def __init__(self, narrows, server, world, tally):
        self.narrows, self.server, self.world, self.tally = narrows, server, world, tally
        self.answers = []  # bytes of every answer to a bad token
        self.sent = {}  # what was sent, for the search at the end: name to token
        self.refused = collections.Counter()  # reason to number of refusals that were seen
        self.looks = collections.defaultdict(set)  # by door and version: how refusals look
        self.plain = {}  # by version: the metadata as it is given without a token
        self.admin = Http1(narrows.admin)
        self.builtin = narrows.token("admin@example.com", "testers")

    def bearer(self, token):
        return [("Authorization", f"Bearer {token}")]

    @contextlib.contextmanager
    def clients(self, timeout=30):
        with Http1(self.narrows.port, timeout) as one, Http2(self.narrows.port, timeout) as two:
            yield one, two

    def reasons(self):
        """The gateway's count of refused tokens, by reason."""
        return gateway.refused_tokens(self.admin.exchange("GET", "/metrics", []).body)

    def session(self, client, token):
        headers, body = initialize()
        answer = client.exchange("POST", PATH, [*headers, *self.bearer(token)], body)
        handle = answer.header(b"mcp-session-id")
        return (handle or b"").decode(), answer

    # Good ones.

    def good_tokens(self):
        count = 0
        with self.clients() as clients:
            # One by one, as they are used: some are good for seconds.
            for name, token in itertools.chain(self.world.good(), [("the built-in issuer", self.builtin)]):
                count += 1
                self.sent[f"the good token `{name}`"] = token
                problems = [problem for client in clients for problem in self.accepted(client, token, name)]
                self.tally.check(f"control: accepted: {name}", problems)
        self.tally.check(
            "control: what is accepted arrives", [] if len(self.server.tools) >= 2 * count else ["not all of it did"]
        )
        print(f"{count} good tokens at {len(ACCEPTED)} doors over 2 versions of HTTP")

    def accepted(self, client, token, name=""):
        session, answer = self.session(client, token)
        if not session:
            return [f"{client.name}: no session: {answer.status} {answer.body[:200]}"]
        problems = []
        for door, verb, target, headers, body in doors(PATH, session):
            stream = verb == "GET" and target == PATH
            answer = client.exchange(verb, target, [*headers, *self.bearer(token)], body, to_the_end=not stream)
            if stream:
                client.close()  # and its stream with it
            expected = {ACCEPTED[door]}
            if target != PATH and name.startswith("aud the endpoint") or target != PATH and name.startswith("aud both"):
                expected = {401}  # for that endpoint, and for no other
            if stream and name.startswith("expired "):
                expected.add(0)  # a stream ends with its token, without leeway: at once
            if answer.status not in expected:
                problems.append(f"{client.name}, {door}: {answer.status} {answer.body[:200]}")
        return problems

    def good_again(self):
        """After everything: what was good is good, so the refusals were not those of a gateway that refuses all."""
        with self.clients() as clients:
            problems = [
                problem
                for client in clients
                for problem in self.accepted(client, self.world.rs.token(self.world.claims(jti="again")))
            ]
            problems += self.accepted(clients[0], self.builtin)
        self.tally.check("control: a good token is still accepted at the end", problems)

    # Bad ones.

    def bad_tokens(self):
        cases = corpus.bad(self.world, self.builtin)
        names = collections.Counter(case.name for case in cases)
        self.tally.check(
            "control: each bad token has a name of its own", [name for name, times in names.items() if times > 1]
        )
        token = self.world.es.token(self.world.claims())
        with self.clients() as clients, contextlib.ExitStack() as more:
            session, _ = self.session(clients[0], token)
            ways = doors(PATH, session)
            self.beside = [more.enter_context(Http1(self.narrows.port)) for _ in ways]
            before, upstream = self.reasons(), len(self.server.seen)
            for reason, group in itertools.groupby(
                sorted(cases, key=lambda case: case.reason), key=lambda case: case.reason
            ):
                self.group(reason, list(group), clients, ways)
            after = self.reasons()
            reached = self.server.seen[upstream:]
            self.tally.check(
                "a server sees nothing of bad tokens", [f"{len(reached)} requests reached it"] if reached else []
            )
            # The session that bad tokens tried to use and to end is as it was.
            headers = [*in_session(session), *self.bearer(token)]
            answer = clients[0].exchange("POST", PATH, headers, b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}')
            self.tally.check(
                "a session that bad tokens tried to end goes on", [] if answer.status == 200 else [f"{answer.status}"]
            )
        counted = after - before
        problems = [
            f"{reason}: {counted[reason]} counted, {self.refused[reason]} sent"
            for reason in counted | self.refused
            if counted[reason] != self.refused[reason]
        ]
        self.tally.check("each refusal is counted, by its reason", problems)
        for (door, version), looks in self.looks.items():
            self.tally.check(f"all refusals look the same: {door}, {version}", differences(looks))
        bodies = {
            body for looks in self.looks.values() for kind, look in looks if kind == "judged" for body in [look[1]]
        }
        self.tally.check(
            "all refusals say the same at every door", [repr(body) for body in bodies] if len(bodies) != 1 else []
        )
        groups = collections.Counter(case.reason for case in cases)
        table(
            ("reason", "bad tokens", "refusals"),
            [(reason, number, self.refused[reason]) for reason, number in sorted(groups.items())],
        )
        print(
            f"{len(cases)} bad tokens, {sum(self.refused.values())} refusals at {len(ways)} doors over 2 versions of HTTP"
        )

    def group(self, reason, cases, clients, ways):
        """Bad tokens that are to be refused for one reason, and the proof that they were."""
        problems, before = {}, self.reasons()
        for case in cases:
            problems[case] = self.refusals(case, clients, ways)
        refusals = dict(self.reasons() - before)
        if refusals != {reason: 2 * len(ways) * len(cases)}:
            # Which of them it was, one by one.
            for case in cases:
                before = self.reasons()
                clients[0].exchange(*ways[2][1:3], [*ways[2][3], *self.bearer(case.token)], ways[2][4])
                for_what = dict(self.reasons() - before)
                self.refused.update(for_what)
                if for_what != {reason: 1}:
                    problems[case].append(f"refused for {for_what}, not for `{reason}`")
        for case, found in problems.items():
            self.tally.check(f"refused: {case.name}", found)

    def refusals(self, case, clients, ways):
        """Problems with the refusals of one token, at every door and over both versions."""
        problems = []
        open_door = ("GET", METADATA + PATH, self.bearer(case.token), b"")
        requests = [
            (verb, target, [*headers, *self.bearer(case.token)], body) for _, verb, target, headers, body in ways
        ]
        for client in clients:
            more = [self.beside] if client is clients[0] else []
            *answers, metadata = client.at_once([*requests, open_door], *more)
            for (name, _, target, _, _), answer in zip(ways, answers):
                problems += [f"{client.name}, {name}: {problem}" for problem in self.faults(answer, case.token, target)]
                self.refused[case.reason] += 1
                # Refused for what is wrong with the token, or for what is wrong with how it is brought.
                kind = "brought" if case.reason == "token_malformed" else "judged"
                self.looks[name, client.name].add((kind, look(answer)))
            # The metadata document asks for no token, and a token with the request changes nothing.
            if client.name not in self.plain:
                self.plain[client.name] = look(client.exchange("GET", METADATA + PATH, []))
            if metadata.status != 200 or look(metadata) != self.plain[client.name]:
                problems.append(f"{client.name}, metadata: {metadata.status}, or otherwise than without the token")
        given = self.admin.exchange("GET", "/readyz", self.bearer(case.token))
        if given.status != 200 or self.repeats(given, case.token):
            problems.append(f"/readyz with this token: {given.status}")
        self.sent[f"the bad token `{case.name}`"] = case.token
        return problems

    def faults(self, answer, token, target):
        """What is wrong with a refusal."""
        self.answers.append(answer.every_byte())
        if answer.status != 401:
            return [f"{answer.status} {answer.body[:200]}"]
        problems = []
        told = (
            f'Bearer error="invalid_token", resource_metadata="http://127.0.0.1:{self.narrows.port}{METADATA}{target}"'
        )
        if answer.header(b"www-authenticate") != told.encode():
            problems.append(f"it is challenged with {answer.header(b'www-authenticate')}")
        if answer.header(b"cache-control") != b"no-store":
            problems.append("it may be cached")
        if self.repeats(answer, token):
            problems.append("it repeats the token, or something in it")
        return problems

    def repeats(self, answer, token):
        said = answer.every_byte()
        parts = [part.encode() for part in token.split(".") if len(part) > 20]
        return self.world.canary.encode() in said or any(
            part in said for part in [token.encode(), *parts] if len(part) > 12
        )

    def large_tokens(self):
        """Refused by whoever first finds them too long: with 401, with 431, or by HTTP/2's own means."""
        upstream = len(self.server.seen)
        for case in corpus.large(self.world):
            self.sent[f"the bad token `{case.name}`"] = case.token
            problems = []
            with self.clients() as clients:
                for client in clients:
                    headers, body = stateless_call()
                    for verb, more, sent in (("POST", headers, body), ("GET", STREAM, b"")):
                        answer = client.exchange(verb, PATH, [*more, *self.bearer(case.token)], sent)
                        self.answers.append(answer.every_byte())
                        expected = {401} if case.reason and len(case.token) < 16 * 1024 else {0, 401, 431}
                        if answer.status not in expected or self.repeats(answer, case.token):
                            problems.append(f"{client.name}, {verb}: {answer.status} {answer.body[:100]}")
            self.tally.check(f"refused: {case.name}", problems)
        reached = len(self.server.seen) - upstream
        self.tally.check(
            "a server sees nothing of tokens that are too long", [f"{reached} requests"] if reached else []
        )


def look(answer):
    """All that a client can see of an answer, but for the time."""
    return answer.status, answer.body, tuple(sorted(pair for pair in answer.headers if pair[0] != b"date"))


def differences(looks):
    """Two ways of refusing are told apart: a token that was judged, and one that was not brought as a token."""
    kinds = collections.defaultdict(set)
    for kind, seen in looks:
        kinds[kind].add(seen)
    return [
        f"{kind}: {len(seen)} different answers: {sorted(seen)[:2]}" for kind, seen in kinds.items() if len(seen) != 1
    ]
