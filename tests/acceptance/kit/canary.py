"""Canaries: listeners that nobody has a reason to connect to, and strings that must turn up nowhere."""

import base64
import contextlib
import socket
import threading


class Listener:
    """Counts the connections made to it, and keeps the first bytes of each."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.visits = []
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                visitor, _ = self.socket.accept()
                with visitor, contextlib.suppress(OSError):
                    visitor.settimeout(2)
                    self.visits.append(b"")
                    self.visits[-1] = visitor.recv(4096)

    def problems(self):
        return [f"{len(self.visits)} connections to the canary listener: {self.visits[:2]}"] if self.visits else []

    def works(self):
        """Whether a connection would have been noticed: makes one and forgets it."""
        before = len(self.visits)
        with socket.create_connection(("127.0.0.1", self.port), 5) as visitor:
            visitor.sendall(b"it is only me")
            visitor.shutdown(socket.SHUT_WR)
            visitor.recv(1)
        noticed = len(self.visits) > before and self.visits[-1] == b"it is only me"
        del self.visits[before:]
        return noticed


def spellings(secret):
    """The ways in which bytes of a secret could stand in a text: as they are, in hexadecimal, and in both alphabets
    of base64 at each of the three places where it can begin."""
    secret = secret.encode() if isinstance(secret, str) else secret
    ways = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + secret)
        # The characters that also hold bits of what stands around it are left out.
        text = text[[0, 2, 3][offset] : len(text.rstrip(b"=")) - (1 if (offset + len(secret)) % 3 else 0)]
        ways |= {text, text.translate(bytes.maketrans(b"+/", b"-_"))}
    return ways


def sightings(secrets, places):
    """Where secrets turn up: `secrets` maps what each is to its bytes, `places` what each place is to all bytes of it."""
    found = []
    for what, secret in secrets.items():
        for spelling in spellings(secret):
            found += [f"{what} is in {place}" for place, content in places.items() if spelling in content]
    return sorted(set(found))


def files(directory):
    """Every file beneath a directory, with its bytes."""
    return {
        str(file.relative_to(directory)): file.read_bytes()
        for file in sorted(directory.rglob("*"))
        if file.is_file() and not file.is_symlink()
    }
