"""How a token is brought: in the one place where it is looked for, or elsewhere. The tokens themselves are good."""

import urllib.parse

from doors import STREAM, Http2, stateless_call
from kit.wire import Http1, head
from rejection import METADATA, PATH, look


def run(found):
    """`found` is the Rejection that knows the gateway."""
    token = found.world.es.token(found.world.claims(jti="brought"))
    other = found.world.rs.token(found.world.claims(jti="brought-too"))
    found.sent["a good token that is brought in odd ways"] = token
    upstream = len(found.server.seen)
    for version in (Http1, Http2):
        with version(found.narrows.port) as client:
            refused(found, client, token, other)
    bodies(found, token)
    trailers(found, token)
    reached = len(found.server.seen) - upstream
    found.tally.check("a server sees nothing of what was brought wrongly", [f"{reached} requests"] if reached else [])
    accepted(found, token)
    operator(found, token)


def refused(found, client, token, other):
    """Name, status, what the target has behind it, headers."""
    good, bad = f"Bearer {token}", "Bearer x.y.z"
    cases = [
        ("no token", 401, "", []),
        ("in a cookie", 401, "", [("Cookie", f"access_token={token}; Authorization=Bearer%20{token}")]),
        ("in `Proxy-Authorization`", 401, "", [("Proxy-Authorization", good)]),
        ("in `X-Authorization`", 401, "", [("X-Authorization", good)]),
        ("in `X-Forwarded-Access-Token`", 401, "", [("X-Forwarded-Access-Token", token)]),
        ("in `X-Api-Key`", 401, "", [("X-Api-Key", token)]),
        ("in `Sec-WebSocket-Protocol`", 401, "", [("Sec-WebSocket-Protocol", f"bearer, {token}")]),
        ("in `Authentication-Info`", 401, "", [("Authentication-Info", good)]),
        (
            "as the name of a user, for a gateway that trusts its proxy",
            401,
            "",
            [("X-Forwarded-User", "alice@example.com"), ("X-Auth-Request-User", "alice@example.com")],
        ),
        ("in the query", 400, f"?access_token={token}", []),
        ("in the query, escaped", 400, f"?%61ccess_token={urllib.parse.quote(token)}", []),
        ("in the query as `token`", 400, f"?token={token}", []),
        ("in the query, and in the header", 400, f"?access_token={token}", [("Authorization", good)]),
        ("in the query's place, with nothing in it, and in the header", 400, "?", [("Authorization", good)]),
        ("in a matrix parameter", 404, f";access_token={token}", []),
        ("in two headers", 400, "", [("Authorization", good), ("Authorization", good)]),
        ("in two headers, two tokens", 400, "", [("Authorization", good), ("Authorization", f"Bearer {other}")]),
        ("in two headers, the first bad", 400, "", [("Authorization", bad), ("Authorization", good)]),
        ("in two headers, the second bad", 400, "", [("Authorization", good), ("Authorization", bad)]),
        ("in two headers, one Basic", 400, "", [("Authorization", "Basic YTpi"), ("Authorization", good)]),
        ("in two headers, by case", 400, "", [("authorization", good), ("AUTHORIZATION", good)]),
        ("twice in one header", 401, "", [("Authorization", f"{good}, {good}")]),
        ("after Basic in one header", 401, "", [("Authorization", f"Basic YTpi, {good}")]),
        ("with bytes that are not ASCII", 400, "", [("Authorization", f"{good}\u00e9".encode("latin-1"))]),
    ]
    schemes = {
        "without a scheme": token,
        "of scheme Basic": f"Basic {token}",
        "of scheme Token": f"Token {token}",
        "of scheme JWT": f"JWT {token}",
        "of scheme DPoP": f"DPoP {token}",
        "of scheme Digest": f"Digest {token}",
        "of scheme BearerX": f"BearerX {token}",
        "of scheme `Bearer:`": f"Bearer: {token}",
        "of scheme `Bearer=`": f"Bearer={token}",
        "of a scheme with a look-alike": f"Be\u0430rer {token}".encode(),
        "without the space": f"Bearer{token}",
        "with two spaces": f"Bearer  {token}",
        "with a tab": f"Bearer\t{token}",
        "with a comma": f"Bearer,{token}",
        "with a space within": f"Bearer {token[:40]} {token[40:]}",
        "with something after it": f"Bearer {token} x",
        "with quotes": f'Bearer "{token}"',
        "as a parameter": f'Bearer token="{token}"',
        "as base64 of the header": f"Bearer {token.replace('.', '')}",
        "with Bearer twice": f"Bearer Bearer {token}",
        "of Basic credentials": "Basic dXNlcjpwYXNz",
        "of Basic credentials, empty": "Basic Og==",
        "of `null`": "null",
        "empty": "",
        "of the scheme alone": "Bearer",
        "of scheme and space": "Bearer ",
    }
    cases += [
        (f"a header {what}", 400 if "look-alike" in what else 401, "", [("Authorization", value)])
        for what, value in schemes.items()
    ]
    headers, body = stateless_call()
    looks = set()
    for name, status, rest, more in cases:
        problems = []
        for verb, usual, sent in (("POST", headers, body), ("GET", STREAM, b""), ("DELETE", [], b"")):
            answer = client.exchange(verb, PATH + rest, [*usual, *more], sent)
            found.answers.append(answer.every_byte())
            if answer.status != status:
                problems.append(f"{verb}: {answer.status} instead of {status}: {answer.body[:120]}")
            if found.repeats(answer, token):
                problems.append(f"{verb}: it repeats the token")
            if answer.status == 401:
                problems += challenge(found, answer, more)
            if answer.status == 401 and any(key == "Authorization" for key, _ in more):
                looks.add(look(answer))
        found.tally.check(f"refused: a token {name}, {client.name}", problems)
    # Those of no Bearer token, and those of one that is no JWT.
    found.tally.check(
        f"all headers that hold no token are refused in one of two ways, {client.name}",
        [repr(one)[:200] for one in looks] if len(looks) != 2 else [],
    )


def challenge(found, answer, headers):
    """RFC 6750, section 3.1: without a token there is no error code, as nothing was wrong with one."""
    metadata = f'resource_metadata="http://127.0.0.1:{found.narrows.port}{METADATA}{PATH}"'
    brought = any(name.lower() == "authorization" for name, _ in headers)
    told = f'Bearer error="invalid_token", {metadata}' if brought else f"Bearer {metadata}"
    said = answer.header(b"www-authenticate")
    return [] if said == told.encode() else [f"it is challenged with {said}"]


def bodies(found, token):
    """A token in the body, of a form or of a message, is none."""
    form = urllib.parse.urlencode({"access_token": token, "method": "tools/call"}).encode()
    headers, message = stateless_call()
    cases = {
        "in a form": ([("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "*/*")], form, 415),
        "in a form that says it is JSON": ([("Content-Type", "application/json"), ("Accept", "*/*")], form, 401),
        "in a member of the message": (headers, message[:-1] + f',"access_token":"{token}"}}'.encode(), 401),
        "in `_meta`": (
            headers,
            message.replace(b'"_meta": {', f'"_meta": {{"authorization": "Bearer {token}", '.encode()),
            401,
        ),
    }
    for version in (Http1, Http2):
        with version(found.narrows.port) as client:
            for name, (head_of, body, status) in cases.items():
                answer = client.exchange("POST", PATH, head_of, body)
                found.answers.append(answer.every_byte())
                problems = [] if answer.status == status else [f"{answer.status} {answer.body[:120]}"]
                problems += ["it repeats the token"] if found.repeats(answer, token) else []
                found.tally.check(f"refused: a token {name}, {client.name}", problems)


def trailers(found, token):
    headers, body = stateless_call()
    chunked = [*headers, ("Transfer-Encoding", "chunked"), ("Trailer", "Authorization")]
    request = (
        head("POST", PATH, chunked, f"127.0.0.1:{found.narrows.port}")
        + f"{len(body):x}\r\n".encode()
        + body
        + b"\r\n0\r\n"
    )
    request += f"Authorization: Bearer {token}\r\n\r\n".encode()
    with Http1(found.narrows.port) as client:
        answer = client.raw(request)
    found.answers.append(answer.every_byte())
    found.tally.check(
        "refused: a token in a trailer, HTTP/1.1",
        [] if answer.status == 401 else [f"{answer.status} {answer.body[:120]}"],
    )


def accepted(found, token):
    """What HTTP says is the same: the scheme's case, and white space around a header's value."""
    cases = [(f"scheme `{scheme}`", f"{scheme} {token}") for scheme in ("bearer", "BEARER", "bEaReR")]
    headers, body = stateless_call()
    for version in (Http1, Http2):
        with version(found.narrows.port) as client:
            around = [("spaces before and after it", f"  Bearer {token}  ")] if version is Http1 else []
            for name, value in [*cases, *around]:
                answer = client.exchange("POST", PATH, [*headers, ("Authorization", value)], body)
                found.tally.check(
                    f"control: accepted: {name}, {client.name}",
                    [] if answer.status == 200 else [f"{answer.status} {answer.body[:120]}"],
                )
            answer = client.exchange(
                "POST", PATH, [*headers, ("Authorization", f"Bearer {token}"), ("Cookie", "access_token=x.y.z")], body
            )
            found.tally.check(
                f"control: a cookie changes nothing, {client.name}",
                [] if answer.status == 200 else [f"{answer.status}"],
            )


def operator(found, token):
    """The operator's listener asks for no token: one that is brought changes nothing and is not repeated."""
    with Http1(found.narrows.admin) as client:
        for target, verb, status in (
            ("/healthz", "GET", 200),
            ("/readyz", "GET", 200),
            ("/metrics", "GET", 200),
            ("/healthz", "POST", 405),
            ("/", "GET", 404),
            (PATH, "POST", 404),
        ):
            plain = client.exchange(verb, target, [])
            for name, brought in (("a good token", token), ("a bad token", "x.y.z"), ("a canary", found.world.canary)):
                given = client.exchange(verb, target, found.bearer(brought))
                found.answers.append(given.every_byte())
                problems = (
                    []
                    if plain.status == given.status == status
                    else [f"{plain.status} without, {given.status} with it, not {status}"]
                )
                problems += ["it answers otherwise"] if target != "/metrics" and look(plain) != look(given) else []
                problems += (
                    ["it repeats the token"] if found.repeats(given, token) or b"x.y.z" in given.every_byte() else []
                )
                found.tally.check(f"operator's listener: {verb} {target} with {name}", problems)
            given = client.exchange(verb, f"{target}?access_token={token}", [])
            found.tally.check(
                f"operator's listener: {verb} {target} with a token in its query",
                ["it repeats the token"] if found.repeats(given, token) else [],
            )
