"""An issuer of ES256 tokens for the governed subjects: a key made for this run, its key set, and tokens. `openssl`
signs. The key set is given to Envoy as text and to Narrows by a small server on this machine, as a provider's."""

import base64
import http.server
import json
import subprocess
import threading
import time

AUDIENCE = "https://bench.example/mcp"


class Issuer:
    def __init__(self, directory):
        self.key = directory / "token-key.pem"
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(self.key))
        public = openssl("ec", "-in", str(self.key), "-pubout", "-outform", "DER")
        # The uncompressed point is the end of the SubjectPublicKeyInfo.
        x, y = public[-64:-32], public[-32:]
        key = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "bench", "x": text(x), "y": text(y)}
        self.keys = json.dumps({"keys": [key]})
        self.server = serve(self.keys.encode())
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def token(self, subject):
        now = int(time.time())
        header = {"alg": "ES256", "typ": "at+jwt", "kid": "bench"}
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "groups": ["bench"], "iat": now, "exp": now + 14400}
        signed = f"{text(json.dumps(header).encode())}.{text(json.dumps(claims).encode())}"
        signature = openssl("dgst", "-sha256", "-sign", str(self.key), given=signed.encode())
        return f"{signed}.{text(numbers(signature))}"

    def close(self):
        self.server.shutdown()


def numbers(der):
    """r and s, 32 bytes each (RFC 7518, 3.4), of a signature in DER."""
    found, at = b"", 2
    for _ in range(2):
        length = der[at + 1]
        value = int.from_bytes(der[at + 2:at + 2 + length], "big")
        found += value.to_bytes(32, "big")
        at += 2 + length
    return found


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*words, given=None):
    return subprocess.run(["openssl", *words], input=given, check=True, capture_output=True).stdout


def serve(keys):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(keys)))
            self.end_headers()
            self.wfile.write(keys)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
