"""Bombs: small bodies that decompress to something huge. The gateway decompresses nothing: what says that it is compressed
gets 415 whatever it holds, and what is compressed without saying so is not JSON and gets 400."""

import base64
import concurrent.futures
import http.client
import zlib

# What each becomes.
SIZE = 256 << 20


def throw(port, token, each=20):
    """Throws all of them, in every form, `each` times; what came back."""
    problems, statuses = [], {}
    cases = []
    for name, body in BOMBS.items():
        for encoding in (name, f"identity, {name}", f"{name}, {name}", name.upper()):
            cases.append((f"{encoding} that holds {name}", encoding, body, 415))
        cases.append((f"{name} that does not say so", None, body, 400))
        cases.append((f"identity that holds {name}", "identity", body, 415))
    cases.append(("a body that is none of it", "gzip", b"{}", 415))

    def one(case):
        what, encoding, body, wanted = case
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json",
                   "Accept": "application/json, text/event-stream"}
        if encoding:
            headers["Content-Encoding"] = encoding
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("POST", "/mcp/load/peer", body, headers)
            response = connection.getresponse()
            response.read()
            return what, wanted, response.status
        except OSError as error:
            return what, wanted, repr(error)
        finally:
            connection.close()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for what, wanted, status in pool.map(one, cases * each):
            statuses[status] = statuses.get(status, 0) + 1
            if status != wanted:
                problems.append(f"{what}: {status} instead of {wanted}")
    return {"statuses": statuses, "problems": sorted(set(problems))}


def gzip():
    """Zeros, a thousandth of their size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(SIZE >> 20)) + packer.flush()


def zstd():
    """RFC 8878: a frame of blocks that each stand for 128 KiB of one byte (RLE): a forty-thousandth of its size."""
    size = 128 << 10
    blocks = SIZE // size
    frame = bytearray(b"\x28\xb5\x2f\xfd" + b"\x00" + b"\x68")  # no size, no checksum; a window of 8 MiB
    for number in range(blocks):
        header = (size << 3) | (1 << 1) | (number == blocks - 1)
        frame += header.to_bytes(3, "little") + b"0"
    return bytes(frame)


# Brotli (RFC 7932) has no writer in Python's library; this is 256 MiB of zeros.
BROTLI = base64.b64decode("""
z///f/gnAOKxQCD3/p/////wTwDEYQGA7v0/////4Z8AiMMiAN37f/7//8M/ARCHBQC69//8//+HfwIgDgsAdO//+f//D/8EQBwW
AOje//P//x/+CYA4LADQvf/n//8//BMAcVgAoHv/z///f/gnAOKwAED3/p/////wTwDEYQGA7v0/////4Z8AiMMCAN37f/7//8M/
ARCHBQC69//8//+HfwIgDgsAdO//+f//D/8EQBwWAOje//P//x/+CYA4LADQvf/n//8//BMAcVgAoHv/Pw==
""")

BOMBS = {"gzip": gzip(), "zstd": zstd(), "br": BROTLI}
