"""Who asks: failed checks that were passed over, paths and hosts that were read otherwise, keys that everybody knows,
and tokens that were for somebody else."""

import base64
import concurrent.futures
import hashlib
import json
import shutil
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from doors import STREAM, Http2, stateless_call
from keys import ABSENT, b64, hmac_token, join
from kit import gateway
from kit.gateway import places
from kit.processes import free_port
from kit.wire import Http1
from launchers import refuses
from stage import PATH, text, unless


def nobody(stage, requests, statuses=(401,)):
    """Sends requests that must not have an identity: named, each a list of headers besides the usual. Fails if one is
    answered otherwise or reaches the server."""
    for name, more in requests.items():
        for version in (Http1, Http2):
            reached, answer = stage.reached(lambda: stage.call("safe_read", None, version=version, more=more))
            yield from unless(answer.status in statuses, f"{name}, {version.name}: {text(answer)}")
            yield from unless(not reached, f"{name}, {version.name}: it reached the server")


def fell_through(stage):
    """Fails if a check of a key that fails is followed by another that lets in without one. That nothing was admitted
    for a principal without a name is looked for in the record at the end."""
    bearer = lambda value: [("Authorization", value)]
    requests = {
        "a random token": bearer("Bearer sk-1234567890abcdef"),
        "an empty one": bearer("Bearer "),
        "an empty header": bearer(""),
        "Basic": bearer("Basic OnNlY3JldA=="),
        "a master key's name": bearer("Bearer sk-1234"),
        "an API key": [("X-Api-Key", "sk-1234")],
        "another gateway's key": [("x-litellm-api-key", "Bearer sk-1234")],
        "OAuth passed on": [("x-mcp-auth", "Bearer x"), ("x-mcp-recorder-authorization", "Bearer x")],
        "a failing token, OAuth passed on": [
            ("Authorization", "Bearer a.b.c"),
            ("x-mcp-auth", "Bearer x"),
            ("x-mcp-servers", "recorder"),
        ],
        "a subject by header": [("X-Forwarded-User", "alice@example.com"), ("X-Remote-User", "alice")],
        "a client certificate's name": [
            ("X-Forwarded-Client-Cert", 'Subject="CN=alice"'),
            ("X-SSL-Client-Verify", "SUCCESS"),
        ],
    }
    yield from nobody(stage, requests)


def host(stage):
    """Fails if the path that is judged can be moved by `Host`: with a slash or question mark in it, a framework that
    builds the URL anew takes the rest for part of the host, and the route for one that asks for no token."""
    port = stage.port
    for value in (
        f"127.0.0.1:{port}/?",
        f"127.0.0.1:{port}/healthz?",
        f"127.0.0.1:{port}/.well-known/oauth-protected-resource?",
        f"127.0.0.1:{port}#",
        f"127.0.0.1:{port}\\",
        f"x@127.0.0.1:{port}",
        f"127.0.0.1:{port}?x=",
        f"127.0.0.1:{port}/mcp/dev/other?",
        "healthz",
        f"127.0.0.1:{port}%2f",
        f"127.0.0.1:{port} /x",
    ):
        for who in (None, "alice"):
            headers, body = stateless_call()
            reached, answer = stage.reached(lambda: stage.post([*headers, ("Host", value)], body, who))
            yield from unless(400 <= answer.status < 500, f"Host `{value}`, {who}: {text(answer)}")
            yield from unless(not reached, f"Host `{value}`, {who}: it reached the server")
    answer = stage.post(*stateless_call(), more=[("Host", f"127.0.0.1:{port}")])
    yield from unless(answer.status == 200, f"control: with the right Host: {text(answer)}")


def rebuilt(stage):
    """Fails if a header can say which path is meant, for the check or for the way to the server."""
    names = (
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Forwarded-Path",
        "X-Forwarded-Prefix",
        "X-Forwarded-Uri",
        "X-Original-URI",
        "X-HTTP-Path-Override",
        "Forwarded",
    )
    open_paths = ("/healthz", "/.well-known/oauth-protected-resource", "/metrics", "/")
    yield from nobody(stage, {f"{name}: {value}": [(name, value)] for name in names for value in open_paths})
    for name in names:
        reached, answer = stage.reached(lambda: stage.call("safe_read", more=[(name, "/mcp/dev/other")]))
        yield from unless(answer.status == 200, f"control: {name}: {text(answer)}")
        yield from unless(
            all(request.startswith(b"POST /mcp ") for request in reached),
            f"{name}: it went elsewhere: {reached[0][:80]}",
        )
    for path in (
        "/mcp/dev/recorder/../../healthz",
        "/healthz/../mcp/dev/recorder",
        "//mcp/dev/recorder",
        "/mcp/dev/recorder/",
        "/mcp/dev/recorder%2f",
        "/mcp/dev/recorder;/healthz",
        "/mcp/dev/recorder?x",
        "/./mcp/dev/recorder",
        "/mcp/dev//recorder",
        "/mcp/dev/recorder%00",
        "/mcp/dev/recorder/.well-known/oauth-protected-resource",
    ):
        for who in (None, "alice"):
            reached, answer = stage.reached(lambda: stage.call("safe_read", who, path))
            yield from unless(answer.status in (400, 404) and not reached, f"{path}, {who}: {text(answer)}")


# Secrets that stood in the sources, charts and sample files of others, and the usual ones.
SECRETS = [
    "my-test-key",
    "my-test-salt",
    "changeme",
    "change-me",
    "changeit",
    "secret",
    "supersecret",
    "your-256-bit-secret",
    "your-secret-key",
    "your_jwt_secret",
    "jwt-secret",
    "jwtsecret",
    "test",
    "test-secret",
    "password",
    "admin",
    "default",
    "development",
    "dev-secret-key",
    "insecure",
    "key",
    "private",
    "token",
    "s3cr3t",
    "shhhhh",
    "keyboard cat",
    "my-secret",
    "mysecret",
    "my_secret_key",
    "default-insecure-seed",
    "agent-router",
    "aigateway",
    "mcp-gateway",
    "mcpgateway",
    "sk-1234",
    "super-secret-key",
    "secret-key",
    "a-string-secret-at-least-256-bits-long",
    "0123456789abcdef0123456789abcdef",
    "00000000000000000000000000000000",
    "qwertyuiopasdfghjklzxcvbnm123456",
    "this-is-a-very-secret-key-change-me!",
    "please-change-this-secret-in-production",
    "django-insecure-key",
    "flask-secret",
    "",
]
# Ed25519 keys that everybody has: RFC 8032, section 7.1 (the first is also that of RFC 8037, appendix A.1), and
# seeds that come of not choosing one.
SEEDS = [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
    "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
    "00" * 32,
    "01" * 32,
    "ff" * 32,
    bytes(range(32)).hex(),
    bytes(range(1, 33)).hex(),
]


def defaults(stage):
    """Fails if a token that is signed with a key that is published is accepted, if Narrows starts with one, or if two
    installations have the same."""
    header, claims = (
        json.loads(base64.urlsafe_b64decode(part + "==")) for part in stage.tokens["alice"].split(".")[:2]
    )
    for secret in SECRETS:
        for alg in ("HS256", "HS512"):
            answer = stage.call("safe_read", hmac_token(secret.encode(), {**header, "alg": alg}, claims))
            yield from unless(answer.status == 401, f"a token signed with `{secret}`: {text(answer)}")
    pems = {}
    for seed in SEEDS:
        key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
        unsigned = join(header, claims, b"")[:-1]
        answer = stage.call("safe_read", f"{unsigned}.{b64(key.sign(unsigned.encode()))}")
        yield from unless(answer.status == 401, f"a token signed with the seed {seed[:8]}…: {text(answer)}")
        pems[seed] = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    yield from starts(stage, pems)
    yield from differ(stage)


def starts(stage, pems):
    """Data directories like a good one, each with one key that is not a secret: the file is named and refused."""
    good, tried = stage.narrows.data / "keys", stage.out / "known-keys"
    bad = {"token-signing.pem": list(pems.values()), "log-signing.pem": list(pems.values())[:2]}
    texts = [
        hashlib.sha256(b"").hexdigest()[:32],
        "my-test-key".ljust(32, "-"),
        "0123456789abcdef0123456789abcdef",
        "A" * 32,
        "a-32-byte-secret-that-is-public!",
    ]
    bad["handles.key"] = [bytes(32), b"\xff" * 32, b"short", b"", *(text.encode() for text in texts), b"x" * 64]
    bad["digest.key"] = bad["handles.key"][:5]
    # As it is, the copy is good: with a key that is not, it is the key that it is refused for.
    command, admin = copied(good, tried / "untouched")
    untouched = stage.processes.start("untouched-keys", command)
    stage.processes.answers(untouched, f"http://127.0.0.1:{admin}/readyz")
    yield from unless(stage.processes.end(untouched) == 0, "control: an untouched copy did not stop in order")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        attempts = [
            pool.submit(refused, good, tried / f"{name}-{number}", name, content)
            for name, contents in bad.items()
            for number, content in enumerate(contents)
        ]
        for attempt in attempts:
            yield from attempt.result()
    shutil.rmtree(tried)


def refused(good, data, name, content):
    command, _ = copied(good, data)
    (data / "keys" / name).write_bytes(content)
    return [f"{data.name}: {problem}" for problem in refuses(command, f"/keys/{name}` is not a")]


def copied(good, data):
    """A data directory with copies of these keys; what starts it, and its admin port."""
    shutil.copytree(good, data / "keys")
    for directory in (data, data / "keys"):
        directory.chmod(0o700)
    admin = free_port()
    command = [
        places.binary("narrows"),
        "up",
        "--data-dir",
        data,
        "--listen",
        f"127.0.0.1:{free_port()}",
        "--admin-listen",
        f"127.0.0.1:{admin}",
    ]
    return command, admin


def differ(stage):
    """A second installation: no key is that of the first, and a token or a session of one is nothing to the other."""
    directory = stage.out / "second"
    directory.mkdir()
    second = gateway.Gateway(
        stage.processes,
        directory,
        [
            gateway.namespace("dev"),
            gateway.server("dev", "recorder", transport="http", url=stage.server.url),
            gateway.role("reader", gateway.allow("dev", "*", tools=["safe_*"])),
            gateway.binding("reader", "testers"),
        ],
        name="second",
    )
    for file in sorted((stage.narrows.data / "keys").iterdir()):
        same = (second.data / "keys" / file.name).read_bytes() == file.read_bytes()
        yield from unless(not same, f"{file.name} is the same in two installations")
    theirs = second.token("alice@example.com", "testers")
    stage.tokens["alice of the second"] = theirs
    yield from unless(stage.call("safe_read", theirs).status == 401, "another installation's token is accepted")
    headers, body = stateless_call()
    with Http1(second.port) as client:
        answer = client.exchange("POST", PATH, [*headers, *stage.bearer(theirs)], body)
        yield from unless(answer.status == 200, f"control: at home: {text(answer)}")
        answer = client.exchange("GET", PATH, [*STREAM, *stage.bearer(theirs), ("Mcp-Session-Id", stage.session())])
        yield from unless(answer.status == 404, f"another installation's session: {text(answer)}")
    yield from unless(second.stop() == 0, "the second did not stop")


def hairpin(stage):
    """Fails if a header lets a request pass as one of the gateway's own, or if the caller chooses where it goes."""
    names = (
        "x-mcp-internal",
        "mcp-init-host",
        "router-key",
        "x-mcp-router-key",
        "x-internal-request",
        "x-envoy-internal",
        "x-mcp-authorized",
        "x-authorized",
        "x-mcp-server",
        "mcp-backend",
        "x-gateway-token",
    )
    yield from nobody(stage, {name: [(name, "true")] for name in names})
    yield from nobody(stage, {"all of them": [(name, f"127.0.0.1:{stage.lure.port}") for name in names]})
    for authority in (
        f"recorder.internal:{stage.port}",
        "other.mcp.local",
        "internal",
        f"169.254.169.254:{stage.port}",
    ):
        for version in (Http1, Http2):
            for who in (None, "alice"):
                headers, body = stateless_call()
                reached, answer = stage.reached(
                    lambda: stage.post([*headers, ("Host", authority)], body, who, version=version)
                )
                yield from unless(
                    answer.status in (400, 421) and not reached,
                    f"{version.name}, host {authority}, {who}: {text(answer)}",
                )
    # A port of our own name is only a name: it does not say where to go.
    for port in (stage.lure.port, stage.admin):
        reached, answer = stage.reached(lambda: stage.call("safe_read", more=[("Host", f"127.0.0.1:{port}")]))
        yield from unless(len(reached) == (1 if answer.status == 200 else 0), f"host 127.0.0.1:{port}: {text(answer)}")
        yield from unless(
            not any(str(port).encode() in request for request in reached),
            f"host 127.0.0.1:{port} goes on to the server",
        )
    given = [(name, "hairpin-canary") for name in names]
    reached, answer = stage.reached(lambda: stage.call("safe_read", more=given))
    yield from unless(answer.status == 200 and reached, f"control: with all of them and a token: {text(answer)}")
    yield from unless(
        not any(b"hairpin-canary" in request for request in reached), "a header of the caller goes on to the server"
    )


def audience(stage, values):
    """Fails if a token of a trusted issuer, signed by its key, is accepted though it is for somebody else."""
    world = stage.world
    yield from unless(
        stage.call("safe_read", world.es.token(world.claims())).status == 200, "control: the right audience is refused"
    )
    for value in values:
        reached, answer = stage.reached(lambda: stage.call("safe_read", world.es.token(world.claims(aud=value))))
        yield from unless(answer.status == 401 and not reached, f"aud {value}: {text(answer)}")


def audience_typescript(stage):
    return audience(
        stage,
        [
            ABSENT,
            "https://elsewhere.example/mcp",
            "https://mcp.example.com/mcp/",
            "https://mcp.example.com",
            "account",
            stage.narrows.url("dev", "other"),
        ],
    )


def audience_python(stage):
    return audience(
        stage,
        [
            None,
            [],
            "",
            {},
            1,
            ["https://elsewhere.example"],
            ["https://mcp.example.com/mcp", "https://elsewhere.example"],
            [["https://mcp.example.com/mcp"]],
            "https://mcp.example.com/mcp https://elsewhere.example",
        ],
    )


def malformed(stage):
    """Fails if a claim of the wrong type counts as one that is not there."""
    world, now = stage.world, int(time.time())
    cases = [
        ("nbf", str(now + 9999)),
        ("nbf", [now + 9999]),
        ("nbf", {"at": now + 9999}),
        ("nbf", now + 9999.5),
        ("nbf", None),
        ("nbf", True),
        ("exp", str(now - 9999)),
        ("exp", None),
        ("exp", [now - 9999]),
        ("iat", str(now)),
        ("iat", None),
        ("iat", {}),
        ("aud", 7),
        ("sub", 7),
        ("groups", 7),
        ("act", "x"),
        ("jti", 7),
        ("iss", [world.issuer]),
    ]
    for name, value in cases:
        answer = stage.call("safe_read", world.es.token(world.claims(**{name: value})))
        yield from unless(answer.status == 401, f"{name} {value!r}: {text(answer)}")
    yield from unless(
        stage.call("safe_read", world.es.token(world.claims(nbf=now - 5))).status == 200,
        "control: a good nbf is refused",
    )


def reused(stage):
    """Fails if a token outlives its request: on the same connection, for the next client, or at the server."""
    headers, body = stateless_call()
    for version in (Http1, Http2):
        with version(stage.port) as client:
            for who, expected in (("alice", 200), (None, 401), ("bob", 200), (None, 401), ("a.b.c", 401), (None, 401)):
                answer = client.exchange("POST", PATH, [*headers, *stage.bearer(who)], body)
                yield from unless(answer.status == expected, f"{version.name}, {who}: {text(answer)}")
    given = stage.server.seen
    yield from unless(given, "control: nothing has reached the server")
    leaked = [
        name
        for name, token in stage.tokens.items()
        if any(token.rsplit(".", 1)[1].encode() in request for request in given)
    ]
    yield from unless(not leaked, f"the server was sent the tokens of {leaked}")
    yield from unless(
        not any(b"\r\nauthorization:" in request.lower() for request in given),
        "the server was sent an Authorization header",
    )


TESTS = [
    ("CVE-2026-59822", "LiteLLM: a failed check of a key fell through to one that let everybody in", fell_through),
    ("CVE-2026-49468", "LiteLLM: the route that decides about a token was made from `Host`", host),
    ("CVE-2026-48710", "Starlette: the URL was built anew from what the client sent", rebuilt),
    ("CVE-2026-53709", "ContextForge: the secret that signs tokens stood in the source", defaults),
    ("GHSA-g53w-w6mj-hrpp", "Kuadrant mcp-gateway: a header passed the check, and the caller chose the host", hairpin),
    ("GHSA-rvq5-wwqv-78pq", "typescript-sdk: nobody looked whom a token is for", audience_typescript),
    ("CVE-2026-116684", "python-sdk: nobody looked whom a token is for", audience_python),
    ("CVE-2026-25537", "jsonwebtoken < 10.3: a malformed claim was one that is not there", malformed),
    ("CVE-2026-16326", "consul-mcp-server: one client's token was used for the next", reused),
]
