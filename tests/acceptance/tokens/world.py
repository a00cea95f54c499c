"""Issuers, their keys, and the tokens of theirs that are good."""

import time
from typing import NamedTuple

from keys import ABSENT, Key, b64, other_s

AUDIENCE = "https://mcp.example.com/mcp"
HOUR, DAY = 3600, 24 * 3600


class Case(NamedTuple):
    name: str
    token: str
    reason: str  # the reason code in the gateway's metrics


def good_claims(issuer, now, **changes):
    """Claims of a token that is good, changed; ABSENT leaves one out."""
    claims = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": "alice@example.com",
        "groups": ["testers"],
        "iat": now - 5,
        "exp": now + HOUR,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ABSENT}


class World:
    """Issuers, their keys, and what the strings in tokens are. `server` is the key server; `lure` an address that
    nobody may follow; `canary` a text that may turn up nowhere."""

    def __init__(self, server, lure, canary, endpoint):
        self.server, self.lure, self.canary, self.endpoint = server, lure, canary, endpoint
        self.issuer, self.other_issuer, self.strict_issuer, self.wide_issuer, self.lone_issuer = (
            f"{server.url}/{name}" for name in ("corp", "other", "strict", "wide", "lone")
        )
        self.rs, self.ps = Key("rs", "RS256"), Key("ps", "PS256")
        self.es, self.ed = Key("es", "ES256"), Key("ed", "EdDSA")
        self.any_rsa = Key("rsa-any", "RS256")  # its JWK names no algorithm
        self.theirs, self.agents, self.lone = Key("theirs", "ES256"), Key("agents", "ES256"), Key("lone", "ES256")
        self.small, self.cubic = Key("rsa-1024", "RS256", bits=1024), Key("rsa-e3", "RS256", exponent=3)
        self.one = Key("rsa-e1", "RS256")
        self.secret = f"{canary}-shared-secret"
        self.koblitz, self.p384 = Key("es-k1", "ES256", curve="secp256k1"), Key("es-p384", "ES384")
        self.twice = Key("twice", "ES256"), Key("twice", "ES256")
        self.private_jwk, self.encrypting = Key("with-d", "ES256"), Key("enc", "RS256")
        self.attacker = Key("es", "ES256")

    def corporate_set(self):
        """Four keys to sign with, one for any RSA algorithm, and a number that must not count."""
        return [
            *(key.jwk() for key in (self.rs, self.ps, self.es, self.ed)),
            self.any_rsa.jwk(alg=None),
            self.small.jwk(),
            self.cubic.jwk(),
            self.one.jwk(e="AQ"),
            {"kty": "oct", "kid": "oct", "alg": "HS256", "k": b64(self.secret)},
            {"kty": "oct", "kid": "oct-es", "alg": "ES256", "use": "sig", "k": b64(self.secret)},
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed-identity", "x": b64(b"\1" + bytes(31))},
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed-zero", "x": b64(bytes(32))},
            self.koblitz.jwk(),
            self.koblitz.jwk(kid="es-k1-as-p256", crv="P-256"),
            self.p384.jwk(alg="ES256"),
            *(key.jwk() for key in self.twice),
            self.private_jwk.jwk(d=b64(f"{self.canary}-private".ljust(32, "=")[:32])),
            self.encrypting.jwk(use="enc"),
            self.encrypting.jwk(kid="enc-ops", use=None, key_ops=["encrypt"]),
            self.encrypting.jwk(kid="enc-alg", alg="RSA-OAEP-256"),
            self.es.jwk(kid="es-as-rs", alg="RS256"),
        ]

    def publish(self, key_set):
        for path, jwks in (
            ("corp", self.corporate_set()),
            ("other", [self.theirs.jwk()]),
            ("strict", [self.agents.jwk()]),
            ("wide", [self.agents.jwk()]),
            ("lone", [self.lone.jwk(kid=None)]),
        ):
            self.server.set(f"/{path}/keys", key_set(*jwks))

    def providers(self):
        def provider(name, **spec):
            issuer = f"{self.server.url}/{name}"
            spec = {"issuer": issuer, "jwksUrl": f"{issuer}/keys", "audiences": [AUDIENCE], **spec}
            return {"kind": "IdentityProvider", "metadata": {"name": name}, "spec": spec}

        return [
            provider("corp"),
            provider("other"),
            provider("strict", tokenType="at+jwt", clientIds=["agent-one"], maxTokenLifetime="1h"),
            provider("wide", allowMultipleAudiences=True, claims={"subject": "sub", "groups": "roles"}),
            provider("lone"),
        ]

    def claims(self, **changes):
        """Good claims, changed; ABSENT leaves one out."""
        marked = {"jti": f"{self.canary}-jti", "note": f"{self.canary}-claim"}
        return good_claims(self.issuer, int(time.time()), **{**marked, **changes})

    def good(self, subject="alice@example.com"):
        """Accepted, each of them: if one were not, nothing about the others could be said."""
        claims, es = (lambda **changes: self.claims(sub=subject, **changes)), self.es
        yield from ((key.alg, key.token(claims())) for key in (self.rs, self.ps, es, self.ed))
        yield "RS256 by a key for any", self.any_rsa.token(claims())
        yield "PS256 by a key for any", self.any_rsa.token(claims(), self.any_rsa.header(alg="PS256"), "PS256")
        for typ in (ABSENT, "JWT", "jwt", "at+jwt", "application/at+jwt"):
            shown = "none" if typ is ABSENT else typ
            yield f"typ {shown}", es.token(claims(), es.header(typ=typ))
        now = int(time.time())
        yield "expired 15 s ago", es.token(claims(exp=now - 15))
        yield "valid in 20 s", es.token(claims(nbf=now + 20, iat=now + 20))
        yield "without iat", es.token(claims(iat=ABSENT))
        yield "aud a list of one", es.token(claims(aud=[AUDIENCE]))
        yield "aud the endpoint itself", es.token(claims(aud=self.endpoint))
        yield "aud both of ours", es.token(claims(aud=[self.endpoint, AUDIENCE]))
        yield "the other issuer", self.theirs.token(claims(iss=self.other_issuer))
        strict = claims(iss=self.strict_issuer, client_id="agent-one", exp=int(time.time()) + 1800)
        yield "the strict issuer", self.agents.token(strict, self.agents.header(typ="at+jwt"))
        wide = claims(iss=self.wide_issuer, aud=[AUDIENCE, "https://elsewhere.example"], roles=["testers"])
        yield "several audiences, where allowed", self.agents.token(wide)
        lone = claims(iss=self.lone_issuer)
        yield "no kid, where there is one key", self.lone.token(lone, self.lone.header(kid=ABSENT))
        # (r, n - s) is as good an ECDSA signature as (r, s) to every verifier of JWS (RFC 7518 asks for no low s).
        # It makes a second text for one token, which is worth nothing: it says the same, and nothing is kept by text.
        yield "the other s of ES256", other_s(es.token(claims()))
