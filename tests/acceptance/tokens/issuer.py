"""An issuer on loopback that can be as bad as one likes: each path answers as it was told to, and each request is
noted with its time."""

import contextlib
import datetime
import ipaddress
import json
import socket
import ssl
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class KeyServer:
    """Answers by path. What a path answers is a function that is given the connected socket."""

    def __init__(self, tls=None):
        self.answers, self.asked = {}, []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.tls = tls
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.listener.close()

    def set(self, path, answer):
        with self.lock:
            self.answers[path] = answer

    def times(self, path):
        """When a path was asked for, on the monotonic clock."""
        with self.lock:
            return [at for at, asked in self.asked if asked == path]

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                visitor, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(visitor,), daemon=True).start()

    def serve(self, visitor):
        with visitor, contextlib.suppress(OSError):
            visitor.settimeout(60)
            if self.tls:
                visitor = self.tls.wrap_socket(visitor, server_side=True)
            asked = b""
            while b"\r\n\r\n" not in asked:
                piece = visitor.recv(4096)
                if not piece:
                    return
                asked += piece
            path = asked.split(b" ")[1].decode()
            with self.lock:
                self.asked.append((time.monotonic(), path))
                answer = self.answers.get(path, status(404))
            answer(visitor, self.stopping)
            # Not before the other side has read it all.
            with contextlib.suppress(OSError):
                visitor.shutdown(socket.SHUT_WR)
            visitor.settimeout(2)
            while visitor.recv(4096):
                pass


def whole(body, code=200, kind="application/json", headers=()):
    """An ordinary response."""
    body = body if isinstance(body, bytes) else body.encode()
    lines = [
        f"HTTP/1.1 {code} Answer",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    response = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    return lambda visitor, _: visitor.sendall(response)


def key_set(*jwks, **more):
    return whole(json.dumps({"keys": list(jwks), **more}))


def status(code):
    return whole("{}", code)


def raw(text):
    return lambda visitor, _: visitor.sendall(text)


def hang(visitor, stopping):
    """Takes the request and says nothing."""
    stopping.wait(60)


def hang_in_body(visitor, stopping):
    visitor.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"keys":[')
    stopping.wait(60)


def drip(visitor, stopping):
    """A byte now and then, without end."""
    visitor.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n")
    while not stopping.wait(0.4):
        visitor.sendall(b" ")


def endless(visitor, stopping):
    """A body without a length that never ends, as fast as it is read."""
    visitor.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
    while not stopping.is_set():
        visitor.sendall(b" " * 65536)


def ten_gigabytes(visitor, stopping):
    visitor.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10737418240\r\n\r\n")
    while not stopping.is_set():
        visitor.sendall(b" " * 65536)


def endless_head(visitor, stopping):
    visitor.sendall(b"HTTP/1.1 200 OK\r\n")
    while not stopping.is_set():
        visitor.sendall(b"X-More: " + b"x" * 4000 + b"\r\n")


def reset(visitor, _):
    visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    visitor.close()


def redirect(to, code):
    return whole("", code, headers=[f"Location: {to}"])


class Authority:
    """A certificate authority of the test's own. The root goes where the gateway's system roots are."""

    def __init__(self, directory):
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a root for tests")])
        self.root = self.certificate(self.name, self.key.public_key(), ca=True)
        self.bundle = directory / "roots.pem"
        self.bundle.write_bytes(self.root.public_bytes(serialization.Encoding.PEM))

    def certificate(self, subject, public, ca=False, host="127.0.0.1", days=30, issuer=None, key=None):
        now = datetime.datetime.now(datetime.UTC)
        end = now + datetime.timedelta(days=days)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or self.name).public_key(public)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_after(end)
        builder = builder.not_valid_before(min(now, end) - datetime.timedelta(days=3))
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if not ca:
            names = [x509.IPAddress(ipaddress.ip_address(host))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(key or self.key, hashes.SHA256())

    def context(self, name, self_signed=False, **certificate):
        """A server's TLS settings with a certificate of this authority, or one that vouches for itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        if self_signed:
            certificate = {**certificate, "issuer": subject, "key": key}
        signed = self.certificate(subject, key.public_key(), **certificate)
        file = self.directory / f"{name}.pem"
        pkcs8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*pkcs8))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context
