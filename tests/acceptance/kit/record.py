"""Reads the audit log as it lies on the disk, in a way of its own: segments, lines, the Merkle tree of RFC 6962 and
what checkpoints say of it. It reads only what was added since it last did, while Narrows is stopped or running."""

import base64
import hashlib
import hmac


class Segments:
    """The records of one writer's log, in order. Where the sequence has a gap, it says so."""

    def __init__(self, directory):
        self.directory = directory
        self.first = self.offset = self.next = 0

    def read(self):
        """The records that were added: bytes, without line feed. Stops where a line is not complete."""
        while True:
            path = self.path(self.first)
            if path.exists():
                with path.open("rb") as file:
                    file.seek(self.offset)
                    text = file.read()
                # Blocks that are reserved and not written yet read as zeros.
                end = text.find(b"\0")
                lines = text[: end if end >= 0 else len(text)].split(b"\n")
                for line in lines[:-1]:
                    self.offset += len(line) + 1
                    self.next += 1
                    yield line
            if self.next == self.first or not self.path(self.next).exists():
                return
            self.first, self.offset = self.next, 0

    def path(self, first):
        return self.directory / f"segment-{first:020}.jsonl"

    def gaps(self):
        """What is wrong with the names of the segments: each must begin with the record that is next."""
        first = [int(path.name.removeprefix("segment-").removesuffix(".jsonl")) for path in self.directory.glob("segment-*.jsonl")]
        return [f"there is a segment that begins with {other}, and {self.next} records" for other in first if other > self.next]


class Tree:
    """A Merkle tree that grows; all of its complete subtrees, so that the root of each earlier size is known."""

    def __init__(self):
        self.levels = [bytearray()]

    def __len__(self):
        return len(self.levels[0]) // 32

    def push(self, record):
        node = hashlib.sha256(b"\0" + record).digest()
        for level in self.levels:
            level += node
            if len(level) % 64:
                return
            node = hashlib.sha256(b"\1" + level[-64:]).digest()
        self.levels.append(bytearray(node))

    def root(self, size):
        """The root of the first `size` records."""
        root, end = None, size
        for height, level in enumerate(self.levels):
            if size >> height & 1:
                # The subtree that ends where the smaller ones to its right begin.
                at = (end >> height) - 1
                node = bytes(level[at * 32 : at * 32 + 32])
                root = node if root is None else hashlib.sha256(b"\1" + node + root).digest()
                end -= 1 << height
        return root if size else hashlib.sha256().digest()


def checkpoint(directory):
    """Size and root of the newest checkpoint, and its text (C2SP tlog-checkpoint); none before the first."""
    try:
        text = (directory / "checkpoint").read_text()
    except FileNotFoundError:
        return None
    _, size, root = text.split("\n")[:3]
    return int(size), base64.b64decode(root), text


def digests(data):
    """How the record names arguments: HMAC-SHA256 under the installation's key, of their text."""
    key = (data / "keys" / "digest.key").read_bytes()
    return lambda arguments: "hmac-sha256:" + hmac.digest(key, arguments.encode(), "sha256").hex()


class Lines:
    """The lines that are added to a file."""

    def __init__(self, path):
        self.path, self.offset = path, 0

    def read(self):
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self.offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.offset += len(whole)
        return whole.decode().splitlines()
