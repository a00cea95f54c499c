"""HTTP/2 frames and header blocks (RFC 9113, RFC 7541), as little of them as it takes to send what no library would."""

import struct

from . import octets

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITISED = 0x1, 0x1, 0x4, 0x8, 0x20
FRAME = 16_384
WINDOW = 1 << 24


def frame(kind, flags, stream, payload=b"", length=None):
    size = len(payload) if length is None else length
    return struct.pack(">BHBBI", size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def settings(values=(), flags=0):
    return frame(SETTINGS, flags, 0, b"".join(struct.pack(">HI", name, value) for name, value in values))


# No dynamic table for the answers, so that each block can be read by itself; and room for them.
OPENING = (
    PREFACE + settings([(0x1, 0), (0x2, 0), (0x4, WINDOW)]) + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW))
)


def integer(value, bits, first):
    """RFC 7541, 5.1."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = bytearray([first | most]), value - most
    while value >= 128:
        out.append(value % 128 | 128)
        value //= 128
    return bytes([*out, value])


def block(fields, first=0x00):
    """Each field as a literal without indexing, its name and value as they are."""
    out = bytearray()
    for name, value in fields:
        out.append(first)
        for text in (octets(name), octets(value)):
            out += integer(len(text), 7, 0) + text
    return bytes(out)


def request(fields, body=b"", stream=1, trailers=None):
    """The frames of a sound exchange, whatever its fields are."""
    head = block(fields)
    last = END_STREAM if not body and trailers is None else 0
    parts = [head[at : at + FRAME] for at in range(0, len(head), FRAME)] or [b""]
    out = [frame(HEADERS, last | (END_HEADERS if len(parts) == 1 else 0), stream, parts[0])]
    out += [frame(CONTINUATION, END_HEADERS if part is parts[-1] else 0, stream, part) for part in parts[1:]]
    pieces = [body[at : at + FRAME] for at in range(0, len(body), FRAME)]
    for piece in pieces:
        ends = piece is pieces[-1] and trailers is None
        out.append(frame(DATA, END_STREAM if ends else 0, stream, piece))
    if trailers is not None:
        out.append(frame(HEADERS, END_HEADERS | END_STREAM, stream, block(trailers)))
    return out


def status(head):
    """`:status` of a response, which stands first (RFC 9113, 8.3.2)."""
    at = 0
    while head[at] & 0xE0 == 0x20:  # a change of the table's size
        at += 1
    first = head[at]
    if first & 0x80:
        return {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}[first & 0x7F]
    if first & 0x0F != 8 and first != 0x48:
        raise ValueError(f"no status in {head[:8].hex()}")
    huffman, length = head[at + 1] & 0x80, head[at + 1] & 0x7F
    text = head[at + 2 : at + 2 + length]
    return int(digits(text) if huffman else text)


def digits(text):
    """Huffman's code of digits (RFC 7541, appendix B): three of five bits, seven of six."""
    bits = "".join(f"{byte:08b}" for byte in text)
    found, at = "", 0
    while len(bits) - at >= 5 and "0" in bits[at:]:
        if (short := int(bits[at : at + 5], 2)) < 3:
            found, at = found + str(short), at + 5
        else:
            found, at = found + str(int(bits[at : at + 6], 2) - 0x19 + 3), at + 6
    return found
