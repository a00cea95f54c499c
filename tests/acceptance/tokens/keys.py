"""Keys and what is signed with them, by the book and against it."""

import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
CURVES = {"P-256": (ec.SECP256R1, 32), "P-384": (ec.SECP384R1, 48), "secp256k1": (ec.SECP256K1, 32)}
# The orders of P-256 and of Ed25519's group.
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def b64(content):
    content = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(value):
    return b64(value.to_bytes((value.bit_length() + 7) // 8 or 1, "big"))


def join(header, claims, signature):
    """A compact serialisation. Header and claims are objects, or texts that are taken as they are."""
    parts = [
        part if isinstance(part, (str, bytes)) else json.dumps(part, ensure_ascii=False) for part in (header, claims)
    ]
    return ".".join([*map(b64, parts), b64(signature)])


class Key:
    """A key pair with a name. `alg` is the algorithm that it signs with and, unless told otherwise, the one that its
    JWK is for."""

    def __init__(self, kid, alg, bits=2048, exponent=65537, curve=None):
        self.kid, self.alg = kid, alg
        if alg[:2] in ("RS", "PS"):
            self.private = rsa_key(bits, exponent)
        elif alg[:2] == "ES":
            self.curve = curve or {"ES256": "P-256", "ES384": "P-384"}[alg]
            self.private = ec.generate_private_key(CURVES[self.curve][0]())
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()

    def jwk(self, **changes):
        """The public JWK; a change to None leaves a member out."""
        public = self.private.public_key()
        if self.alg[:2] in ("RS", "PS"):
            numbers = public.public_numbers()
            material = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        elif self.alg[:2] == "ES":
            numbers, length = public.public_numbers(), CURVES[self.curve][1]
            x, y = (b64(value.to_bytes(length, "big")) for value in (numbers.x, numbers.y))
            material = {"kty": "EC", "crv": self.curve, "x": x, "y": y}
        else:
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            material = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
        jwk = {**material, "kid": self.kid, "use": "sig", "alg": self.alg, **changes}
        return {name: value for name, value in jwk.items() if value is not None}

    def pem(self):
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, spki)

    def der(self):
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(serialization.Encoding.DER, spki)

    def sign(self, message, alg=None, **odd):
        """The signature over bytes, in the form of RFC 7518 or RFC 8037."""
        alg = alg or self.alg
        if alg == "EdDSA":
            return self.private.sign(message)
        digest = HASHES[alg[2:5]]
        if alg[:2] == "RS":
            return self.private.sign(message, padding.PKCS1v15(), odd.get("digest", digest)())
        if alg[:2] == "PS":
            pss = padding.PSS(padding.MGF1(odd.get("mgf", digest)()), odd.get("salt", digest.digest_size))
            return self.private.sign(message, pss, odd.get("digest", digest)())
        der = self.private.sign(message, ec.ECDSA(odd.get("digest", digest)()))
        if odd.get("der"):
            return der
        length = CURVES[self.curve][1]
        return b"".join(part.to_bytes(length, "big") for part in utils.decode_dss_signature(der))

    def header(self, **changes):
        header = {"alg": self.alg, "kid": self.kid, "typ": "JWT", **changes}
        return {name: value for name, value in header.items() if value is not ABSENT}

    def token(self, claims, header=None, alg=None, **odd):
        """A token with these claims and this header (its own, if none is given), signed whatever they say."""
        unsigned = join(self.header() if header is None else header, claims, b"")[:-1]
        return f"{unsigned}.{b64(self.sign(unsigned.encode(), alg, **odd))}"


ABSENT = object()


def hmac_token(secret, header, claims):
    """Signed with HMAC; the algorithm is the header's."""
    unsigned = join(header, claims, b"")[:-1]
    name = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[header["alg"]]
    return f"{unsigned}.{b64(hmac.new(secret, unsigned.encode(), name).digest())}"


def rsa_key(bits, exponent):
    """An RSA key that the library may not want to make: with few bits, or another exponent."""
    if bits >= 1024 and exponent in (3, 65537):
        return rsa.generate_private_key(exponent, bits)
    raise ValueError(f"no RSA key of {bits} bits with exponent {exponent}")


def unsigned_rsa_token(header, claims, modulus):
    """For a public key with e = 1, the signature is the padded digest itself: anybody can make it."""
    unsigned = join(header, claims, b"")[:-1]
    prefix = bytes.fromhex("3031300d060960864801650304020105000420")
    digest = prefix + hashlib.sha256(unsigned.encode()).digest()
    length = (modulus.bit_length() + 7) // 8
    padded = b"\x00\x01" + b"\xff" * (length - len(digest) - 3) + b"\x00" + digest
    return f"{unsigned}.{b64(padded)}"


def other_s(token):
    signed, signature = token.rsplit(".", 1)
    raw = unb64(signature)
    s = P256_ORDER - int.from_bytes(raw[32:], "big")
    return f"{signed}.{b64(raw[:32] + s.to_bytes(32, 'big'))}"


def uncanonical(text):
    """Another spelling of the same bytes, by the bits that the last character has no use for; the same text where
    there are none."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    if len(text) % 4 == 0:
        return text
    last = alphabet.index(text[-1])
    return text[:-1] + alphabet[last ^ 1]
