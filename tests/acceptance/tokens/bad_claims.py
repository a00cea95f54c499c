"""Bad tokens by form, claims and kind."""

import json
import time

from keys import ABSENT, b64, uncanonical, unb64
from world import AUDIENCE, DAY, Case


def form(world):
    """Texts that are no compact JWS, and headers and claims that are no JSON objects."""
    es, claims = world.es, world.claims()
    token, shape, header_bad, claims_bad = (es.token(claims), "token_malformed", "header_malformed", "claims_malformed")
    header, body, signature = token.split(".")
    texts = {
        "two parts": f"{header}.{body}",
        "one part": header,
        "four parts": f"{token}.{signature}",
        "five parts (JWE)": f"{b64(json.dumps({'alg': 'RSA-OAEP', 'enc': 'A256GCM'}))}.{signature}.{b64('iv')}.{body}.{b64('tag')}",
        "no parts": "..",
        "an empty payload (detached JWS)": f"{header}..{signature}",
        "an empty header": f".{body}.{signature}",
        "an empty signature": f"{header}.{body}.",
        "padding": f"{header}.{body}.{signature}==",
        "padding in the header": f"{header}==.{body}.{signature}",
        "a dot before it": f".{token}",
        "a dot after it": f"{token}.",
        "standard base64": f"{header}.{body}.{signature[:-2]}+/",
        "a line break in it": f"{header}.{body[:9]}%0a{body[9:]}.{signature}",
        "a comma after it": f"{token},",
        "two of them, with a comma": f"{token},{token}",
        "quotes around it": f'"{token}"',
        "JSON serialisation": json.dumps({"protected": header, "payload": body, "signature": signature}).replace(
            " ", ""
        ),
        "PASETO": f"v4.local.{body}.{signature}",
        "an opaque token": f"{world.canary}-opaque",
        "`null`": "null",
        "`undefined`": "undefined",
        "`[object Object]`": "[object_Object]",
        "SAML": b64(f"<saml:Assertion>{world.canary}</saml:Assertion>"),
        "percent encoding": token.replace(".", "%2e"),
    }
    for what, text in texts.items():
        yield Case(f"a token of {what}", text, shape)
    with_header = {
        "no JSON": "ES256",
        "an array": '["ES256"]',
        "a string": '"ES256"',
        "null": "null",
        "two objects": '{"alg":"ES256","kid":"es"}{}',
        "a comment": '{"alg":"ES256"/**/,"kid":"es"}',
        "cut off": '{"alg":"ES256","kid":"es"',
        "a BOM": '\ufeff{"alg":"ES256","kid":"es"}',
        "single quotes": "{'alg':'ES256'}",
        "a trailing comma": '{"alg":"ES256","kid":"es",}',
        "bytes that are no UTF-8": b'{"alg":"ES256","kid":"\xff"}',
        "overlong UTF-8": b'{"alg":"ES256","kid":"\xc0\xaf"}',
        "UTF-16": '{"alg":"ES256","kid":"es"}'.encode("utf-16-le"),
        "a lone surrogate": '{"alg":"ES256","kid":"\\ud800"}',
        "a NUL after it": '{"alg":"ES256","kid":"es"}\0',
        "structure in disguise": '{"alg":"ES256","kid":"es","x":{"$serde_json::private::RawValue":"1"}}',
    }
    for what, text in with_header.items():
        yield Case(f"a header of {what}", es.token(claims, text), header_bad)
    good = json.dumps(claims)
    for what, text in {
        "no JSON": "nothing",
        "an array": f"[{good}]",
        "a string": json.dumps(good),
        "a number": "1",
        "null": "null",
        "two objects": good + good,
        "cut off": good[:-1],
        "a BOM": "\ufeff" + good,
        "bytes that are no UTF-8": good[:-1].encode() + b',"x":"\xff"}',
        "UTF-16": good.encode("utf-16-le"),
        "NaN": good[:-1] + ',"x":NaN}',
        "a number beyond all bounds": good[:-1] + ',"x":1e400}',
        "a control character": good[:-1] + ',"x":"\n"}',
    }.items():
        yield Case(f"claims of {what}", es.token(text), claims_bad)
    spelled_otherwise = f"{header}.{uncanonical(body) if uncanonical(body) != body else body + 'A'}.{signature}"
    yield Case("claims in base64 that is not canonical", spelled_otherwise, claims_bad)
    yield Case("claims that are compressed", es.token(b"\x78\x9c\x03\x00\x00\x00\x00\x01"), claims_bad)


def times(world):
    now, malformed, time_bad = int(time.time()), "expiry_malformed", "time_malformed"
    token = lambda **changes: world.es.token(world.claims(**changes))
    for what, value in {
        "null": None,
        "a text": str(now + 3600),
        "a fraction": now + 3600.5,
        "negative": -1,
        "2^63": 2**63,
        "2^63 - 1": 2**63 - 1,
        "true": True,
        "a list": [now + 3600],
        "an object": {"at": now + 3600},
        "an ISO date": "2099-01-01T00:00:00Z",
    }.items():
        yield Case(f"exp {what}", token(exp=value), malformed)
    yield Case("exp absent", token(exp=ABSENT), malformed)
    yield Case("exp 2^64", token(exp=2**64), "claims_malformed")
    for what, text in (
        ("1e30", "1e30"),
        ("written with `.0`", f"{now + 3600}.0"),
        ("written with an exponent", f"{now + 3600}e0"),
        ("-0", "-0"),
    ):
        claims = json.dumps(world.claims(exp="EXP")).replace('"EXP"', text)
        yield Case(f"exp {what}", world.es.token(claims), "token_expired" if text == "-0" else malformed)
    for what, past in (("31 s", 31), ("an hour", 3600), ("a day", DAY), ("all the time since 1970", now)):
        yield Case(
            f"expired {what} ago",
            token(exp=now - past, iat=ABSENT if past > 3600 else now - past - 60),
            "token_expired",
        )
    for claim, reason in (("nbf", "token_not_yet_valid"), ("iat", "token_issued_in_future")):
        for what, ahead in (("ten minutes", 600), ("a day", DAY), ("a year", 365 * DAY)):
            yield Case(f"{claim} {what} ahead", token(**{claim: now + ahead, "exp": now + ahead + 3600}), reason)
        for what, value in {
            "a text": str(now),
            "null": None,
            "a fraction": now + 0.5,
            "negative": -1,
            "2^63": 2**63,
            "true": True,
            "a list": [now],
        }.items():
            yield Case(f"{claim} {what}", token(**{claim: value}), time_bad)
    yield Case("a lifetime of 24 hours and a minute", token(iat=now - 60, exp=now + DAY), "lifetime_too_long")
    yield Case("a lifetime until 9999", token(exp=253402300799), "lifetime_too_long")
    yield Case("no iat, and two days left", token(iat=ABSENT, exp=now + 2 * DAY), "lifetime_too_long")
    strict = world.claims(iss=world.strict_issuer, client_id="agent-one", exp=now + 3800)
    yield Case(
        "longer than this issuer's tokens may live",
        world.agents.token(strict, world.agents.header(typ="at+jwt")),
        "lifetime_too_long",
    )


def audiences(world):
    token = lambda aud: world.es.token(world.claims(aud=aud))
    for what, aud in {
        "absent": ABSENT,
        "null": None,
        "a number": 7,
        "true": True,
        "an object": {"aud": AUDIENCE},
        "empty": "",
        "an empty list": [],
        "a list with null": [AUDIENCE, None],
        "a list with a number": [AUDIENCE, 1],
        "a list in a list": [[AUDIENCE]],
        "a list with an empty text": [AUDIENCE, ""],
    }.items():
        yield Case(f"aud {what}", token(aud), "audience_malformed")
    foreign = {
        "a prefix": AUDIENCE[:-1],
        "with a suffix": AUDIENCE + "/x",
        "with a slash after it": AUDIENCE + "/",
        "in upper case": AUDIENCE.upper(),
        "of another host": "https://elsewhere.example/mcp",
        "http instead of https": AUDIENCE.replace("https", "http"),
        "with a port": AUDIENCE.replace("com/", "com:443/"),
        "with a space": AUDIENCE + " ",
        "with a query": AUDIENCE + "?",
        "with a fragment": AUDIENCE + "#",
        "another server's": world.endpoint.replace("recorder", "another"),
        "the whole gateway": world.endpoint.split("/mcp/")[0],
        "a pattern": "*",
        "the client's own id": "agent-one",
        "the issuer": world.issuer,
        "a look-alike": AUDIENCE.replace("a", "\u0430"),
        "the built-in issuer's": "urn:narrows:mcp",
        "two in one text": f"{AUDIENCE} https://elsewhere.example",
    }
    for what, aud in foreign.items():
        yield Case(f"aud {what}", token(aud), "audience_refused")
    yield Case("aud ours and another's", token([AUDIENCE, "https://elsewhere.example"]), "audience_multiple")
    yield Case("aud another's and ours", token(["https://elsewhere.example", AUDIENCE]), "audience_multiple")
    yield Case("aud of 65 texts", token([AUDIENCE] * 65), "audience_malformed")


def issuers(world):
    token = lambda iss: world.es.token(world.claims(iss=iss))
    for what, iss in {
        "absent": ABSENT,
        "null": None,
        "a list": [world.issuer],
        "an object": {"iss": world.issuer},
        "a number": 1,
        "true": True,
    }.items():
        yield Case(f"iss {what}", token(iss), "issuer_malformed")
    for what, iss in {
        "empty": "",
        "a prefix": world.issuer[:-1],
        "with a slash": world.issuer + "/",
        "https instead of http": world.issuer.replace("http:", "https:"),
        "in upper case": world.issuer.upper(),
        "with a space": world.issuer + " ",
        "with NUL": world.issuer + "\0",
        "localhost for its address": world.issuer.replace("127.0.0.1", "localhost"),
        "the server alone": world.server.url,
        "of nobody": f"https://{world.canary}.example",
        "an address to fetch": world.lure,
        "a metadata service": "http://169.254.169.254/latest",
        "a file": "file:///etc/passwd",
    }.items():
        yield Case(f"iss {what}", token(iss), "issuer_unknown")


def subjects(world):
    token = lambda **changes: world.es.token(world.claims(**changes))
    for what, sub in {
        "absent": ABSENT,
        "null": None,
        "empty": "",
        "a number": 7,
        "true": True,
        "a list": ["mallory"],
        "an object": {"id": 1},
        "with NUL": "mal\0lory",
        "with a line feed": f"{world.canary}\n2026-01-01 INFO all is well",
        "with CR": "mal\rlory",
        "with ESC": "\x1b[31m" + world.canary,
        "with RLO": "mal\u202elory",
        "with a zero-width space": "mal\u200blory",
        "with a tag character": "mal\U000e0041",
        "with a soft hyphen": "mal\u00adlory",
        "with U+2028": "mal\u2028lory",
        "of 256 characters": "m" * 256,
        "of 4,000 characters": "m" * 4000,
    }.items():
        yield Case(f"sub {what}", token(sub=sub), "subject_malformed")


def other_claims(world):
    token = lambda **changes: world.es.token(world.claims(**changes))
    for what, groups in {
        "a number": 1,
        "null": None,
        "an object": {"a": "testers"},
        "with a number": ["testers", 1],
        "with an empty text": ["testers", ""],
        "with a control": ["test\ners"],
        "of 257": [f"g{number}" for number in range(257)],
    }.items():
        yield Case(f"groups {what}", token(groups=groups), "groups_malformed")
    for what, act in {
        "a text": "agent",
        "null": None,
        "without a subject": {"act": {}},
        "with a number for a subject": {"sub": 1},
        "of nine": nested("act", {"sub": "a"}, 9),
    }.items():
        yield Case(f"act {what}", token(act=act), "actor_malformed")
    for what, jti in {"a number": 1, "null": None, "empty": "", "with a line feed": "a\nb"}.items():
        yield Case(f"jti {what}", token(jti=jti), "claims_malformed")
    strict = lambda **changes: world.claims(
        **{"iss": world.strict_issuer, "client_id": "agent-one", "exp": int(time.time()) + 1800, **changes}
    )
    agents, at = world.agents, world.agents.header(typ="at+jwt")
    for what, changes in {
        "no client": {"client_id": ABSENT},
        "another client": {"client_id": "agent-two"},
        "a client in a list": {"client_id": ["agent-one"]},
        "another client by azp": {"azp": "agent-two"},
        "a client by another case": {"client_id": "Agent-One"},
    }.items():
        yield Case(f"{what}, where the issuer names one", agents.token(strict(**changes), at), "client_refused")


def kinds(world):
    """Tokens that are good for something else."""
    token, not_access = lambda **changes: world.es.token(world.claims(**changes)), "not_access_token"
    yield Case("an ID token (at_hash)", token(at_hash="MTIzNDU2Nzg5MDEyMzQ1Ng", nonce="n"), not_access)
    yield Case("an ID token (c_hash)", token(c_hash="MTIzNDU2Nzg5MDEyMzQ1Ng"), not_access)
    yield Case("an ID token (typ claim)", token(typ="ID"), not_access)
    yield Case("an ID token (token_use)", token(token_use="id"), not_access)
    yield Case("an ID token for its client", token(aud="agent-one", nonce="n", auth_time=1), "audience_refused")
    yield Case(
        "an ID token where access tokens are marked",
        world.agents.token(world.claims(iss=world.strict_issuer, client_id="agent-one"), world.agents.header()),
        "type_refused",
    )
    yield Case("a refresh token (typ claim)", token(typ="Refresh"), not_access)
    yield Case("an offline token", token(typ="Offline"), not_access)
    yield Case("a refresh token (token_use)", token(token_use="refresh"), not_access)
    yield Case("a logout token", token(events={"http://schemas.openid.net/event/backchannel-logout": {}}), not_access)
    yield Case("a DPoP-bound token", token(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}), "token_bound")
    yield Case(
        "a certificate-bound token",
        token(cnf={"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}),
        "token_bound",
    )
    yield Case("a client assertion", token(iss="agent-one", sub="agent-one", aud=world.issuer), "issuer_unknown")
    yield Case("a token in the name of some built-in issuer", token(iss="urn:narrows:0"), "issuer_unknown")


def of_builtin(world, token):
    """In the name of the built-in issuer of this very gateway, whose token this is."""
    header, claims = (json.loads(unb64(part)) for part in token.split(".")[:2])
    yield Case("P-256 in the built-in issuer's name", world.es.token(claims), "algorithm_refused")
    yield Case(
        "Ed25519 in the built-in issuer's name", world.ed.token(claims, world.ed.header(typ="at+jwt")), "key_unknown"
    )
    yield Case(
        "Ed25519 under the name of the built-in issuer's key", world.ed.token(claims, header), "signature_invalid"
    )
    plain = world.ed.token(claims, {**header, "typ": "JWT"})
    yield Case("another typ in the built-in issuer's name", plain, "type_refused")
    changed = b64(json.dumps({**claims, "sub": "admin@example.com"}))
    first, _, last = token.split(".")
    yield Case("the built-in issuer's token with another subject", f"{first}.{changed}.{last}", "signature_invalid")


def duplicates(world):
    es = world.es
    good, header = json.dumps(world.claims()), json.dumps(es.header())
    for what, more in {
        "sub": '"sub":"admin@example.com"',
        "sub by an escape": '"s\\u0075b":"admin@example.com"',
        "sub by case": '"Sub":"admin@example.com"',
        "iss": '"iss":"x"',
        "aud": f'"aud":"{AUDIENCE}"',
        "exp": '"exp":4102444800',
        "exp by case": '"EXP":4102444800',
        "groups": '"groups":["admins"]',
        "groups by a long s": '"group\u017f":["admins"]',
        "a claim that nobody reads": '"note":"x"',
    }.items():
        yield Case(f"{what} twice", es.token(f"{good[:-1]},{more}}}"), "claims_malformed")
        yield Case(f"{what} twice, the other first", es.token(f"{{{more},{good[1:]}"), "claims_malformed")
    yield Case("a member twice, deeper", es.token(good[:-1] + ',"x":{"a":1,"a":2}}'), "claims_malformed")
    for what, more in {
        "alg": '"alg":"none"',
        "alg by an escape": '"\\u0061lg":"none"',
        "alg by case": '"Alg":"none"',
        "kid": '"kid":"rs"',
    }.items():
        yield Case(
            f"{what} twice in the header", es.token(world.claims(), f"{header[:-1]},{more}}}"), "header_malformed"
        )
        yield Case(
            f"{what} twice in the header, the other first",
            es.token(world.claims(), f"{{{more},{header[1:]}"),
            "header_malformed",
        )


def nesting(world):
    es = world.es
    good, header = json.dumps(world.claims()), json.dumps(es.header())
    for depth in (17, 100, 2000):
        for what, deep in (
            ("lists", "[" * depth + "]" * depth),
            ("objects", '{"a":' * (depth // 3) + "1" + "}" * (depth // 3)),
        ):
            if len(deep) // 2 >= 17:
                yield Case(
                    (
                        f"claims with {depth} {what} in each other"
                        if what == "lists"
                        else f"claims with {depth // 3} {what} in each other"
                    ),
                    es.token(f'{good[:-1]},"x":{deep}}}'),
                    "claims_malformed",
                )
    yield Case(
        "a header with 2,000 lists in each other",
        es.token(world.claims(), f'{header[:-1]},"x":{"[" * 2000 + "]" * 2000}}}'),
        "header_malformed",
    )
    yield Case(
        "257 claims", es.token(world.claims(**{f"c{number_of}": 0 for number_of in range(257)})), "claims_malformed"
    )


def large(world):
    """Tokens that are too long: what refuses them depends on how long they are."""
    es = world.es
    yield Case("a token of 9 KB", es.token(world.claims(x="x" * 6500)), "token_too_long")
    yield Case("a token of 20 KB, by its kid", es.token(world.claims(), es.header(kid="k" * 15000)), "token_too_long")
    for what, size in (
        ("a claims nest of 10,000 lists", None),
        ("a token of 100 KB", 75_000),
        ("a token of 1 MB", 750_000),
        ("a sub of 1 MB", 1_000_000),
    ):
        if size is None:
            yield Case(
                what, es.token(f'{json.dumps(world.claims())[:-1]},"x":{"[" * 10000 + "]" * 10000}}}'), "token_too_long"
            )
        else:
            yield Case(what, es.token(world.claims(sub="x" * size)), "")


def nested(name, innermost, depth):
    value = innermost
    for _ in range(depth - 1):
        value = {**innermost, name: value}
    return value
