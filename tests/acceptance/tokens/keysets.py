"""Issuers whose key servers fail, lie or attack, all behind one gateway, beside one that is well. What is asked of the
gateway: their tokens are refused as long as there are no keys, the others' are not, nobody is asked more often than
every 30 seconds whatever tokens name, and what was removed is dead."""

import concurrent.futures
import gzip
import itertools
import json
import threading
import time

from doors import PATH, STREAM, Http2, doors, in_session, initialize, stateless_call
from issuer import (
    KeyServer,
    drip,
    endless,
    endless_head,
    hang,
    hang_in_body,
    key_set,
    raw,
    redirect,
    reset,
    status,
    ten_gigabytes,
    whole,
)
from keys import Key
from kit import gateway
from kit.processes import free_port
from kit.wire import Http1
from world import AUDIENCE, good_claims

INTERVAL = 30  # seconds between two fetches of one set, whatever keys tokens name
PATIENCE = 65  # how long the floods go on: long enough for two intervals
MEMORY = 150 * 1024  # KiB, that the gateway may come to


class Scene:
    def __init__(self, server, mark, found):
        self.server, self.mark, self.found = server, mark, found
        self.key = Key("main", "ES256")
        self.providers = []
        self.numbers = itertools.count(1)

    def check(self, name, problems):
        self.found["checks"].append((name, problems))

    def provider(self, name, answer=None, base=None, **spec):
        """An issuer whose key set is answered so."""
        base = base or self.server
        issuer = f"{base.url}/{name}"
        spec = {"issuer": issuer, "jwksUrl": f"{issuer}/keys", "audiences": [AUDIENCE], **spec}
        spec = {key: value for key, value in spec.items() if value is not None}
        self.providers.append({"kind": "IdentityProvider", "metadata": {"name": name}, "spec": spec})
        if answer:
            base.set(f"/{name}/keys", answer)
        return issuer

    def token(self, issuer, key=None, header=None, **claims):
        claims = good_claims(issuer, int(time.time()), **{"note": self.mark, **claims})
        return self.made(issuer, (key or self.key).token(claims, header))

    def made(self, issuer, token):
        """Keeps a token that is about to be sent, for the search at the end."""
        self.found["sent"][f"key sets: token {next(self.numbers)} of {issuer}"] = token
        return token

    def ask(self, token, client=None, timeout=30):
        """One stateless call; the answer and how long it took."""
        headers, body = stateless_call()
        begin = time.monotonic()
        if client is None:
            with Http1(self.port, timeout) as client:
                answer = client.exchange("POST", PATH, [*headers, ("Authorization", f"Bearer {token}")], body)
        else:
            answer = client.exchange("POST", PATH, [*headers, ("Authorization", f"Bearer {token}")], body)
        if answer.status != 200:
            self.found["answers"].append(answer.every_byte())
        return answer, time.monotonic() - begin


def run(processes, server, recorder, mark, directory, found, lure, authority):
    scene = Scene(server, mark, found)
    good = key_set(scene.key.jwk())
    tls = {
        "tls-good": KeyServer(authority.context("good")),
        "tls-self-signed": KeyServer(authority.context("self-signed", self_signed=True)),
        "tls-expired": KeyServer(authority.context("expired", days=-1)),
        "tls-other-host": KeyServer(authority.context("other-host", host="127.0.0.2")),
    }
    own = free_port()
    bad = hostile(scene, lure)
    issuers = {name: scene.provider(name, answer) for name, answer in bad.items() if answer is not None}
    issuers |= {name: scene.provider(name, jwksUrl=None) for name in discovered(scene, lure, own, mark)}
    for name, base in tls.items():
        issuers[name] = scene.provider(name, good, base)
    issuers["bad-no-listener"] = scene.provider("bad-no-listener", jwksUrl=f"http://127.0.0.1:{free_port()}/keys")
    issuers["bad-own-listener"] = scene.provider("bad-own-listener", jwksUrl=f"http://127.0.0.1:{own}/metrics")
    well = scene.provider("well", good)
    over_time = {name: scene.provider(name, good) for name in ("flood", "flood-hang", "rotated", "outage", "emptied")}
    leaving, staying, coming = Key("leaving", "ES256"), Key("staying", "EdDSA"), Key("coming", "RS256")
    server.set("/rotated/keys", key_set(leaving.jwk(), staying.jwk()))
    subjects = [{"group": "testers", "provider": provider["metadata"]["name"]} for provider in scene.providers]
    resources = [
        gateway.namespace("dev"),
        gateway.server("dev", "recorder", transport="http", url=recorder.url),
        gateway.role("reader", gateway.allow("dev", "recorder", tools=["safe_*"])),
        gateway.binding("reader", "testers"),
    ]
    resources[-1]["spec"]["subjects"] = subjects
    narrows = gateway.Gateway(
        processes,
        directory,
        [*resources, *scene.providers],
        name="keysets",
        environment={"NARROWS_LOG": "trace", "SSL_CERT_FILE": str(authority.bundle)},
        admin=own,
    )
    scene.port, scene.process = narrows.port, narrows.process
    begin = time.monotonic()
    for name, issuer in over_time.items():
        key = staying if name == "rotated" else scene.key
        answer, _ = scene.ask(scene.token(issuer, key))
        scene.check(
            f"control: key set `{name}`: a good token is accepted",
            [] if answer.status == 200 else [f"{answer.status} {answer.body[:200]}"],
        )
    print(f"key sets: {len(issuers) - len(WELL)} issuers in trouble")
    over = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        floods = [
            pool.submit(flood, scene, over_time[name], over, pause)
            for name, pause in (
                ("flood", 0.02),
                ("flood", 0.02),
                ("flood-hang", 0.5),
                ("flood-hang", 0.5),
                ("outage", 2),
                ("emptied", 2),
            )
        ]
        watch = pool.submit(
            watch_the_good,
            scene,
            [well, over_time["flood"], over_time["flood-hang"], over_time["outage"], over_time["emptied"]],
            over,
        )
        stream = pool.submit(hold_stream, scene, over_time["rotated"], leaving)
        server.set("/flood-hang/keys", hang)
        server.set("/outage/keys", status(500))
        server.set("/emptied/keys", key_set())
        refuse_all(scene, pool, issuers)
        recover(scene, pool, issuers, good)
        rotate(scene, begin, over_time["rotated"], (leaving, staying, coming), stream)
        time.sleep(max(0, begin + PATIENCE - time.monotonic()))
        over.set()
        sent = sum(future.result() for future in floods)
        scene.check("key sets: good tokens are accepted at once, whatever goes on beside them", watch.result())
    asked_seldom(scene, sent)
    memory(scene)
    for base in tls.values():
        base.__exit__()
    scene.check(
        "the gateway with bad key servers stops when told to", [] if narrows.stop() == 0 else ["it did not exit with 0"]
    )


def hostile(scene, lure):
    """Key sets that are none. Each becomes a good one later."""
    key, good = scene.key, json.dumps({"keys": [scene.key.jwk()]})
    answers = {
        **{f"bad-{code}": status(code) for code in (204, 206, 401, 403, 404, 429, 500, 503)},
        **{f"bad-redirect-{code}": redirect(lure.url + "/keys", code) for code in (301, 302, 303, 307, 308)},
        "bad-hang": hang,
        "bad-hang-in-body": hang_in_body,
        "bad-drip": drip,
        "bad-reset": reset,
        "bad-endless": endless,
        "bad-10-gb": ten_gigabytes,
        "bad-endless-head": endless_head,
        "bad-closed": raw(b""),
        "bad-no-http": raw(b"\0\1\2\3\r\n\r\n"),
        "bad-cut-off": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + good.encode()),
        "bad-two-lengths": raw(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: %d\r\n\r\n%s" % (len(good), good.encode())
        ),
        "bad-chunks": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + good.encode()),
        "bad-html": whole("<html><body>Sign in</body></html>", kind="text/html"),
        "bad-empty": whole(""),
        "bad-null": whole("null"),
        "bad-list": whole(json.dumps([key.jwk()])),
        "bad-no-keys": whole("{}"),
        "bad-keys-null": whole('{"keys":null}'),
        "bad-keys-object": whole(json.dumps({"keys": {"main": key.jwk()}})),
        "bad-keys-none": key_set(),
        "bad-gzip": whole(gzip.compress(good.encode()), headers=["Content-Encoding: gzip"]),
        "bad-two-documents": whole(good + good),
        "bad-keys-twice": whole(good[:-1] + ',"keys":[]}'),
        "bad-bom": whole("\ufeff" + good),
        "bad-nested": whole('{"keys":' + "[" * 30000 + "]" * 30000 + "}"),
        "bad-65-kb": key_set(key.jwk(), pad="x" * 65 * 1024),
        "bad-33-keys": key_set(*(key.jwk(kid=f"k{number}") for number in range(32)), key.jwk()),
        "bad-twice": key_set(key.jwk(), Key("main", "ES256").jwk()),
        "bad-weak-only": key_set(Key("main", "RS256", bits=1024).jwk()),
        "bad-private-only": key_set(key.jwk(d="AAAA")),
        "bad-symmetric-only": key_set({"kty": "oct", "kid": "main", "k": "c2VjcmV0"}),
    }
    return answers


def discovered(scene, lure, own, mark):
    """Discovery documents that lead astray. The key set that they should lead to is good."""
    good = lambda name: {"issuer": f"{scene.server.url}/{name}", "jwks_uri": f"{scene.server.url}/{name}/keys"}
    documents = {
        "found-well": {},
        "found-of-another": {"issuer": f"{scene.server.url}/well"},
        "found-with-slash": {"issuer": f"{scene.server.url}/found-with-slash/"},
        "found-no-keys": {"jwks_uri": None},
        "found-a-file": {"jwks_uri": "file:///etc/passwd"},
        "found-metadata": {"jwks_uri": "http://169.254.169.254/latest/meta-data"},
        "found-plain": {"jwks_uri": "http://192.0.2.1/keys"},
        "found-own": {"jwks_uri": f"http://127.0.0.1:{own}/metrics"},
        "found-with-user": {"jwks_uri": lure.url.replace("//", f"//{mark}@")},
        "found-line": {"jwks_uri": lure.url + "/\r\nX: y"},
        "found-data": {"jwks_uri": "data:application/json,{}"},
        "found-unspecified": {"jwks_uri": lure.url.replace("127.0.0.1", "0.0.0.0")},
        "found-disguised": {"jwks_uri": f"http://2852039166/{mark}"},
    }
    for name, changes in documents.items():
        document = {key: value for key, value in {**good(name), **changes}.items() if value is not None}
        scene.server.set(f"/{name}/.well-known/openid-configuration", whole(json.dumps(document)))
        scene.server.set(f"/{name}/keys", key_set(scene.key.jwk()))
    scene.server.set("/found-redirect/.well-known/openid-configuration", redirect(lure.url, 302))
    return [*documents, "found-redirect"]


# Those of which nothing is wrong.
WELL = {"found-well", "tls-good"}
# What stays as it is: the address is refused, or the certificate.
FOREVER = {"bad-no-listener", "bad-own-listener"}


def refuse_all(scene, pool, issuers):
    """No keys, no verdict: 503, in the same words for all, at each door; and nobody is kept waiting for long."""
    answers = dict(zip(issuers, pool.map(lambda issuer: scene.ask(scene.token(issuer)), issuers.values())))
    looks = set()
    for name, (answer, took) in answers.items():
        if name in WELL:
            scene.check(
                f"control: key set `{name}`: a good token is accepted",
                [] if answer.status == 200 else [f"{answer.status} {answer.body[:200]}"],
            )
            continue
        looks.add((answer.status, answer.body))
        problems = [] if answer.status == 503 else [f"{answer.status} {answer.body[:200]}"]
        problems += [f"it took {took:.1f} s"] if took > 20 else []
        problems += ["it is not said when to try again"] if answer.header(b"retry-after") is None else []
        problems += ["it repeats the token"] if scene.mark.encode() in answer.every_byte() else []
        scene.check(f"key set `{name}`: its tokens are not accepted", problems)
    scene.check(
        "all tokens without keys are refused in the same words",
        [f"{len(looks)} different answers"] if len(looks) != 1 else [],
    )
    token = scene.token(issuers["bad-500"])
    problems = []
    for version in (Http1, Http2):
        with version(scene.port) as client:
            for name, verb, target, headers, body in doors(PATH, "none"):
                answer = client.exchange(verb, target, [*headers, ("Authorization", f"Bearer {token}")], body)
                problems += [] if answer.status == 503 else [f"{version.name}, {name}: {answer.status}"]
    scene.check("without keys, every door is closed", problems)
    # A signature cannot be had by waiting: a forged token of such an issuer gets the same answer.
    answer, _ = scene.ask(scene.token(issuers["bad-500"], Key("main", "ES256")))
    scene.check(
        "without keys, a forged token is refused like a good one",
        [] if (answer.status, answer.body) in looks else [f"{answer.status}"],
    )


def recover(scene, pool, issuers, good):
    """Once the server is well, so is its issuer, without a restart and without being asked."""
    mended = {name: issuer for name, issuer in issuers.items() if name.startswith("bad-") and name not in FOREVER}
    for name in mended:
        scene.server.set(f"/{name}/keys", good)
    deadline = time.monotonic() + 45

    def accepted(issuer):
        while time.monotonic() < deadline:
            if scene.ask(scene.token(issuer))[0].status == 200:
                return True
            time.sleep(1)
        return False

    for name, well in zip(mended, pool.map(accepted, mended.values())):
        scene.check(
            f"key set `{name}`: once it is good, its tokens are accepted", [] if well else ["they are not, after 45 s"]
        )
    for name, issuer in issuers.items():
        if name not in mended and name not in WELL:
            answer, _ = scene.ask(scene.token(issuer))
            scene.check(
                f"key set `{name}`: its tokens stay refused", [] if answer.status == 503 else [f"{answer.status}"]
            )


def hold_stream(scene, issuer, key):
    """Opens a session and a stream with a key that is about to go; the connection that the stream is on."""
    bearer = ("Authorization", f"Bearer {scene.token(issuer, key)}")
    client = Http1(scene.port, timeout=120)
    headers, body = initialize()
    answer = client.exchange("POST", PATH, [*headers, bearer], body)
    session = (answer.header(b"mcp-session-id") or b"").decode()
    answer = client.exchange("GET", PATH, [*in_session(session, STREAM), bearer], to_the_end=False)
    return client, answer.status


def rotate(scene, begin, issuer, keys, stream):
    leaving, staying, coming = keys
    client, opened = stream.result()
    before = {key.kid: scene.token(issuer, key) for key in keys}
    scene.check(
        "control: rotation: a stream is open under the key that will go", [] if opened == 200 else [f"{opened}"]
    )
    scene.check(
        "control: rotation: the key that will go is good",
        [] if scene.ask(before["leaving"])[0].status == 200 else ["it is not"],
    )
    ended = []

    def read():
        try:
            while client.socket.recv(4096):
                pass
        except (OSError, AttributeError):
            pass
        ended.append(time.monotonic())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    scene.server.set("/rotated/keys", key_set(staying.jwk(), coming.jwk()))
    early, _ = scene.ask(before["coming"])
    scene.check(
        "rotation: a new key is not fetched within the interval", [] if early.status == 401 else [f"{early.status}"]
    )
    scene.check("control: rotation: the stream is still open", ["it has ended"] if ended else [])
    time.sleep(max(0, begin + INTERVAL + 2 - time.monotonic()))
    late, _ = scene.ask(before["coming"])
    fetched = time.monotonic()
    scene.check(
        "rotation: a new key is fetched when a token names it",
        [] if late.status == 200 else [f"{late.status} {late.body[:200]}"],
    )
    gone, _ = scene.ask(before["leaving"])
    scene.check(
        "rotation: a token of a removed key is refused, though it was accepted before",
        [] if gone.status == 401 else [f"{gone.status}"],
    )
    kept, _ = scene.ask(before["staying"])
    scene.check("control: rotation: a key that stays is good", [] if kept.status == 200 else [f"{kept.status}"])
    reader.join(5)
    cut = ended[0] - fetched if ended else None
    scene.check(
        "rotation: a stream under a removed key is cut within a second",
        [] if cut is not None and cut < 1 else [f"after {cut} s"],
    )
    client.close()


def flood(scene, issuer, over, pause):
    """Tokens that name keys that nobody has, one after the other; how many."""
    sent, own = 0, Key("x", "ES256")
    headers, body = stateless_call()
    claims = {"iss": issuer, "aud": AUDIENCE, "sub": "a", "exp": int(time.time()) + 3600}
    with Http1(scene.port, timeout=30) as client:
        while not over.is_set():
            token = own.token(claims, {"alg": "ES256", "kid": f"{scene.mark}-{sent}-{id(client)}"})
            scene.made(issuer, token)
            answer = client.exchange("POST", PATH, [*headers, ("Authorization", f"Bearer {token}")], body)
            sent += 1
            if answer.status != 401:
                scene.check("flood: a token that names no key", [f"{answer.status} {answer.body[:200]}"])
            over.wait(pause)
    return sent


def watch_the_good(scene, issuers, over):
    """Tokens with known keys, all the while; what was wrong with their answers."""
    tokens = {issuer: scene.token(issuer) for issuer in issuers}
    problems, times = [], []
    while not over.wait(1):
        for issuer, token in tokens.items():
            answer, took = scene.ask(token)
            times.append(took)
            if answer.status != 200:
                problems.append(f"{issuer}: {answer.status}")
    times.sort()
    middle, most = times[len(times) // 2], times[len(times) * 95 // 100]
    if most > 3:  # who waited for a key server that hangs would wait for 5 s at least
        problems.append(f"one in twenty took more than {most:.1f} s")
    print(
        f"key sets: {len(times)} good calls beside the floods; half took up to {middle * 1000:.0f} ms, 95 % up to {most * 1000:.0f} ms"
    )
    return problems[:5]


def asked_seldom(scene, sent):
    print(f"key sets: {sent} tokens named unknown keys in {PATIENCE} s")
    scene.check("control: the flood was one", [] if sent > 100 else [f"{sent} tokens"])
    for name in ("flood", "flood-hang"):
        times = scene.server.times(f"/{name}/keys")
        gaps = [later - earlier for earlier, later in zip(times, times[1:])]
        print(
            f"key sets: `{name}` was asked for its keys {len(times)} times, {', '.join(f'{gap:.1f} s' for gap in gaps)} apart"
        )
        # A gap is measured where requests arrive: the gateway's own clock begins when the last answer was complete.
        scene.check(
            f"flood: `{name}` is asked at most once in {INTERVAL} s",
            [f"{gap:.1f} s apart" for gap in gaps if gap < INTERVAL - 0.2],
        )
        scene.check(f"control: `{name}` is asked again for an unknown key", [] if gaps else ["it was not"])


def memory(scene):
    peak = int(next(line.split()[1] for line in open(f"/proc/{scene.process.pid}/status") if line.startswith("VmHWM")))
    print(f"key sets: the gateway came to {peak / 1024:.0f} MiB, with bodies without end among what it was sent")
    scene.check("bodies without end cost no memory", [] if peak < MEMORY else [f"{peak} KiB"])
