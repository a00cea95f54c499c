"""Bad tokens by algorithm, signature, key and header."""

import itertools
import json

from cryptography.hazmat.primitives import hashes

from keys import ABSENT, ED25519_ORDER, P256_ORDER, b64, hmac_token, join, uncanonical, unb64, unsigned_rsa_token
from world import Case


def algorithms(world):
    es, claims, refused = world.es, world.claims(), "algorithm_refused"
    for alg in (
        "none",
        "NoNe",
        "NONE",
        "nOnE",
        "",
        "es256",
        "ES256 ",
        "ES256\0",
        "ES512",
        "ES256K",
        "RS1",
        "HS1",
        "dir",
        "RSA-OAEP",
        "A128KW",
        "Ed448",
        "ES256,none",
    ):
        yield Case(f"alg `{alg}`", es.token(claims, es.header(alg=alg)), refused)
    for name, alg in (
        ("null", None),
        ("a number", 256),
        ("a list", ["ES256"]),
        ("an object", {"a": "ES256"}),
        ("true", True),
        ("absent", ABSENT),
    ):
        yield Case(f"alg {name}", es.token(claims, es.header(alg=alg)), refused)
    for alg in ("none", "None"):
        yield Case(f"alg {alg}, no signature", join({"alg": alg, "typ": "JWT"}, claims, b""), "token_malformed")
        yield Case(f"alg {alg}, one zero for a signature", join({"alg": alg}, claims, b"\0"), refused)
    # The classic: the public key, which everybody has, as the secret of an HMAC.
    rs = world.rs
    n = unb64(rs.jwk()["n"])
    secrets = {
        "PEM": rs.pem(),
        "PEM without its last line feed": rs.pem().rstrip(b"\n"),
        "PEM with CRLF": rs.pem().replace(b"\n", b"\r\n"),
        "DER": rs.der(),
        "modulus": n,
        "JWK": json.dumps(rs.jwk()).encode(),
    }
    for (what, secret), alg in itertools.product(secrets.items(), ("HS256", "HS384", "HS512")):
        yield Case(
            f"{alg} with the RSA key's {what} as secret", hmac_token(secret, rs.header(alg=alg), claims), refused
        )
    for what, key in (("P-256", world.es), ("Ed25519", world.ed)):
        yield Case(
            f"HS256 with the {what} key's PEM as secret",
            hmac_token(key.pem(), key.header(alg="HS256"), claims),
            refused,
        )
    for what, secret in (("nothing", b""), ("`secret`", b"secret")):
        yield Case(f"HS256 with {what} as secret", hmac_token(secret, rs.header(alg="HS256"), claims), refused)
    # HMAC under an asymmetric name.
    confused = hmac_token(rs.pem(), {"alg": "HS256", "kid": "rs"}, claims).rsplit(".", 1)[1]
    yield Case(
        "RS256 that is an HMAC",
        f"{b64(json.dumps(rs.header()))}.{b64(json.dumps(claims))}.{confused}",
        "signature_invalid",
    )
    # Asymmetric ones for each other: name, key and signature in all wrong pairs.
    for name, key, signed, reason in (
        ("RS256 named PS256", world.any_rsa, ("PS256", "RS256"), "signature_invalid"),
        ("PS256 named RS256", world.any_rsa, ("RS256", "PS256"), "signature_invalid"),
        ("PS256 by a key for RS256", world.rs, ("PS256", "PS256"), "key_mismatch"),
        ("RS256 by a key for PS256", world.ps, ("RS256", "RS256"), "key_mismatch"),
        ("ES256 named EdDSA", world.es, ("EdDSA", "ES256"), "key_mismatch"),
        ("EdDSA named ES256", world.ed, ("ES256", "EdDSA"), "key_mismatch"),
        ("RS256 named EdDSA", world.rs, ("EdDSA", "RS256"), "key_mismatch"),
        ("ES256 named RS256", world.es, ("RS256", "ES256"), "key_mismatch"),
        ("RS384, which the issuer is not accepted with", world.any_rsa, ("RS384", "RS384"), refused),
        ("PS512, which the issuer is not accepted with", world.any_rsa, ("PS512", "PS512"), refused),
        ("ES384, which the issuer is not accepted with", world.p384, ("ES384", "ES384"), refused),
    ):
        yield Case(name, key.token(claims, key.header(alg=signed[0]), signed[1]), reason)
    for name, key, kid in (
        ("ES256 under the RSA key's name", world.es, "rs"),
        ("RS256 under the P-256 key's name", world.rs, "es"),
        ("EdDSA under the P-256 key's name", world.ed, "es"),
    ):
        yield Case(name, key.token(claims, key.header(kid=kid)), "key_mismatch")


def signatures(world):
    es, ed, rs, claims, wrong = world.es, world.ed, world.rs, world.claims(), "signature_invalid"

    def forged(key, signature):
        return join(key.header(), claims, signature)

    r_s = {
        "r = s = 0": (0, 0),
        "r = 0": (0, 1),
        "s = 0": (1, 0),
        "r = s = n": (P256_ORDER, P256_ORDER),
        "r = n": (P256_ORDER, 1),
        "s = n": (1, P256_ORDER),
        "r = s = 1": (1, 1),
        "r = s = n - 1": (P256_ORDER - 1, P256_ORDER - 1),
        "r = s = 2^256 - 1": (2**256 - 1, 2**256 - 1),
    }
    for what, pair in r_s.items():
        yield Case(f"ES256 with {what}", forged(es, b"".join(part.to_bytes(32, "big") for part in pair)), wrong)
    token = es.token(claims)
    signed, signature = token.rsplit(".", 1)
    own = unb64(signature)
    r, s = (int.from_bytes(part, "big") for part in (own[:32], own[32:]))
    rewritten = {
        "in DER": es.token(claims, der=True).rsplit(".", 1)[1],
        "with r and s swapped": b64(own[32:] + own[:32]),
        "with a zero before each half": b64(b"\0" + own[:32] + b"\0" + own[32:]),
        "with a byte after it": b64(own + b"\0"),
        "without its last byte": b64(own[:-1]),
        "without its first byte": b64(own[1:]),
        "of one byte": b64(b"\0"),
        "of r alone": b64(own[:32]),
        "twice": b64(own + own),
        "as hexadecimal": own.hex(),
        "with s + n, where it fits": b64(
            own[:32] + (s + P256_ORDER if s + P256_ORDER < 2**256 else 2**256 - 1).to_bytes(32, "big")
        ),
        "with -r": b64((P256_ORDER - r).to_bytes(32, "big") + own[32:]),
        "in base64 that is not canonical": uncanonical(signature),
        "of another token": es.token(world.claims(sub="eve@example.com")).rsplit(".", 1)[1],
    }
    for what, text in rewritten.items():
        yield Case(f"ES256 {what}", f"{signed}.{text}", wrong)
    yield Case("ES256 with the first bit changed", f"{signed}.{b64(bytes([own[0] ^ 0x80]) + own[1:])}", wrong)
    yield Case("ES256 with the last bit changed", f"{signed}.{b64(own[:-1] + bytes([own[-1] ^ 1]))}", wrong)
    yield Case("ES256 over SHA-384", es.token(claims, digest=hashes.SHA384), wrong)
    yield Case("ES256 by an attacker's key of the same name", world.attacker.token(claims), wrong)
    yield Case("ES256 on P-384, under a P-256 key's name", world.p384.token(claims, es.header(), "ES384"), wrong)
    # Claims and header replaced under a good signature.
    _, good_claims, good_signature = token.split(".")
    other = b64(json.dumps(world.claims(sub="admin@example.com")))
    yield Case("good signature, other claims", f"{signed.split('.')[0]}.{other}.{good_signature}", wrong)
    yield Case(
        "good signature, other header",
        f"{b64(json.dumps(es.header(typ='at+jwt')))}.{good_claims}.{good_signature}",
        wrong,
    )
    # Ed25519: S + L is the malleation that a verifier has to catch.
    ed_token = ed.token(claims)
    ed_signed, ed_signature = ed_token.rsplit(".", 1)
    own = unb64(ed_signature)
    more = int.from_bytes(own[32:], "little") + ED25519_ORDER
    for what, changed in {
        "with S + L": own[:32] + more.to_bytes(32, "little"),
        "of zeros": bytes(64),
        "with the top bit of S": own[:63] + bytes([own[63] | 0x80]),
        "with another R": bytes([own[0] ^ 1]) + own[1:],
        "without its last byte": own[:63],
        "with a byte after it": own + b"\0",
        "with R the identity and S zero": b"\1" + bytes(63),
    }.items():
        yield Case(f"EdDSA {what}", f"{ed_signed}.{b64(changed)}", wrong)
    # RSA
    rs_signed, rs_signature = rs.token(claims).rsplit(".", 1)
    own = unb64(rs_signature)
    modulus = int.from_bytes(unb64(rs.jwk()["n"]), "big")
    value = int.from_bytes(own, "big")
    bigger = value + modulus
    for what, changed in {
        "with a zero byte before it": b"\0" + own,
        "without its first byte": own[1:],
        "of zeros": bytes(256),
        "of 0x01": bytes(255) + b"\1",
        "that is the modulus": modulus.to_bytes(256, "big"),
        "that is the modulus less one": (modulus - 1).to_bytes(256, "big"),
        "plus the modulus": bigger.to_bytes(257 if bigger >= 2**2048 else 256, "big"),
        "of 4096 bytes": own * 16,
        "negated": (modulus - value).to_bytes(256, "big"),
    }.items():
        yield Case(f"RS256 {what}", f"{rs_signed}.{b64(changed)}", wrong)
    yield Case("RS256 over SHA-1", rs.token(claims, digest=hashes.SHA1), wrong)
    yield Case("RS256 over SHA-512", rs.token(claims, digest=hashes.SHA512), wrong)
    ps = world.ps
    for salt in (0, 20, 31, 33, 222):
        yield Case(f"PS256 with a salt of {salt} bytes", ps.token(claims, salt=salt), wrong)
    yield Case("PS256 with MGF1 over SHA-1", ps.token(claims, mgf=hashes.SHA1), wrong)
    yield Case("PS256 over SHA-512", ps.token(claims, digest=hashes.SHA512, salt=32), wrong)


def key_names(world):
    es, claims, unknown = world.es, world.claims(), "key_unknown"
    for kid in (
        "../../../../dev/null",
        "/dev/null",
        "' OR 1=1 --",
        "'; DROP TABLE key_sets; --",
        world.lure,
        "file:///etc/passwd",
        "ES",
        "es ",
        " es",
        "es\u200b",
        "e\u0455",
        "es/",
        "es.pem",
        "${jndi:ldap://127.0.0.1/x}",
        "0",
        "null",
        f"{world.canary}-kid",
    ):
        yield Case(
            f"kid `{kid.replace(world.canary, '…').replace(world.lure, 'an address')}`",
            es.token(claims, es.header(kid=kid)),
            unknown,
        )
    for name, kid in (
        ("empty", ""),
        ("of 129 bytes", "k" * 129),
        ("of 4,000 bytes", "k" * 4000),
        ("with NUL", "es\0"),
        ("with a line feed", "es\n"),
        ("a number", 1),
        ("null", None),
        ("a list", ["es"]),
        ("an object", {"kid": "es"}),
        ("true", True),
    ):
        yield Case(f"kid {name}", es.token(claims, es.header(kid=kid)), "key_id_malformed")
    yield Case("no kid, and several keys", es.token(claims, es.header(kid=ABSENT)), "key_ambiguous")
    yield Case("kid of another issuer's key", world.theirs.token(claims), unknown)
    yield Case(
        "another issuer's key under our key's name",
        world.theirs.token(claims, world.theirs.header(kid="es")),
        "signature_invalid",
    )
    yield Case("our key in another issuer's name", es.token(world.claims(iss=world.other_issuer)), unknown)
    yield Case(
        "no kid, in the name of an issuer with another key",
        es.token(world.claims(iss=world.lone_issuer), es.header(kid=ABSENT)),
        "signature_invalid",
    )
    yield Case("a kid, where the only key has none", world.lone.token(world.claims(iss=world.lone_issuer)), unknown)


def weak_keys(world):
    claims, unknown = world.claims(), "key_unknown"
    yield Case("an RSA key of 1024 bits", world.small.token(claims), unknown)
    yield Case("an RSA key with e = 3", world.cubic.token(claims), unknown)
    modulus = int.from_bytes(unb64(world.one.jwk()["n"]), "big")
    yield Case(
        "an RSA key with e = 1, which needs no signer", unsigned_rsa_token(world.one.header(), claims, modulus), unknown
    )
    secret = world.secret.encode()
    for kid in ("oct", "oct-es"):
        yield Case(
            f"a symmetric key in the set (`{kid}`)",
            hmac_token(secret, {"alg": "HS256", "kid": kid}, claims),
            "algorithm_refused",
        )
        signature = hmac_token(secret, {"alg": "HS256", "kid": kid}, claims).rsplit(".", 1)[1]
        yield Case(
            f"a symmetric key in the set (`{kid}`), by another name",
            f"{join({'alg': 'ES256', 'kid': kid}, claims, b'')}{signature}",
            unknown,
        )
    # Under the identity R = B and S = 1 sign every message.
    universal = bytes([0x58]) + b"\x66" * 31 + b"\1" + bytes(31)
    for kid in ("ed-identity", "ed-zero"):
        yield Case(
            f"an Ed25519 key of small order (`{kid}`)", join({"alg": "EdDSA", "kid": kid}, claims, universal), unknown
        )
    yield Case("a key on secp256k1", world.koblitz.token(claims), unknown)
    yield Case(
        "a point of secp256k1 as one of P-256",
        world.koblitz.token(claims, world.koblitz.header(kid="es-k1-as-p256")),
        "signature_invalid",
    )
    yield Case("a P-384 key for ES256", world.p384.token(claims, world.p384.header(alg="ES256"), "ES384"), unknown)
    for number_of, key in enumerate(world.twice, 1):
        yield Case(f"a kid that is there twice, key {number_of}", key.token(claims), unknown)
    yield Case("a key published with its private part", world.private_jwk.token(claims), unknown)
    yield Case("a key for encryption (use)", world.encrypting.token(claims), unknown)
    yield Case(
        "a key for encryption (key_ops)",
        world.encrypting.token(claims, world.encrypting.header(kid="enc-ops")),
        unknown,
    )
    yield Case(
        "a key for encryption (alg)", world.encrypting.token(claims, world.encrypting.header(kid="enc-alg")), unknown
    )
    yield Case("a P-256 key for RS256", world.es.token(claims, world.es.header(kid="es-as-rs")), unknown)


def headers(world):
    es, claims, refused = world.es, world.claims(), "header_parameter_refused"
    attacker = world.attacker
    brought = {
        "jku": world.lure + "/keys",
        "x5u": world.lure + "/cert",
        "jwk": attacker.jwk(),
        "x5c": [b64(f"{world.canary}-certificate")],
        "crit": ["exp"],
        "b64": False,
        "zip": "DEF",
        "enc": "A256GCM",
        "epk": es.jwk(),
    }
    for name, value in brought.items():
        yield Case(f"header `{name}`", es.token(claims, es.header(**{name: value})), refused)
    yield Case(
        "crit of what nobody knows",
        es.token(claims, es.header(crit=[f"{world.canary}-must"], **{f"{world.canary}-must": True})),
        refused,
    )
    yield Case("crit with b64 false", es.token(claims, es.header(crit=["b64"], b64=False)), refused)
    yield Case("crit empty", es.token(claims, es.header(crit=[])), refused)
    for name in ("jku", "x5u", "jwk", "x5c"):
        header = attacker.header(**{name: brought[name]})
        yield Case(f"attacker's key, brought by `{name}`", attacker.token(claims, header), refused)
        yield Case(
            f"attacker's key, brought by `{name}`, no kid", attacker.token(claims, {**header, "kid": "mine"}), refused
        )
    for typ in (
        "dpop+jwt",
        "id+jwt",
        "logout+jwt",
        "secevent+jwt",
        "rt+jwt",
        "refresh+jwt",
        "JWE",
        "JWS",
        "",
        "at+jwt ",
        "application/json",
        f"{world.canary}",
    ):
        yield Case(f"typ `{typ.replace(world.canary, '…')}`", es.token(claims, es.header(typ=typ)), "type_refused")
    for name, typ in (("a number", 1), ("null", None), ("a list", ["JWT"])):
        yield Case(f"typ {name}", es.token(claims, es.header(typ=typ)), "type_refused")
