"""What a case is, and how messages are put together that are almost right."""

import dataclasses
import json
from typing import Any, Callable

SESSIONS, STATELESS = "sessions", "stateless"
ERAS = (SESSIONS, STATELESS)
REVISION = {SESSIONS: "2025-11-25", STATELESS: "2026-07-28"}
# In a body: what tells this case's executions from all others.
MARK = "@M@"
SAFE, EVIL = '"safe_read"', '"admin_delete"'
ARGUMENTS = f'{{"path":"{MARK}"}}'

# What must come of a case. Whatever it is: the denied tool never runs, and what runs is what was recorded.
REFUSED = "refused"  # Nothing runs, and the answer, if there is one, is a 4xx.
RUNS = "runs"  # The allowed tool runs once, with exactly the arguments that were sent.
EITHER = "either"  # Both are right.


@dataclasses.dataclass(frozen=True)
class Case:
    group: str
    name: str
    era: str
    expect: str
    # From the mark to the bytes of the body.
    body: Callable[[str], bytes]
    # Changes to the usual headers: a value replaces, None removes, a list stands there as often as it is long.
    headers: tuple = ()
    # JSON-RPC code of the refusal, where there is but one.
    code: int | None = None
    revision: str | None = None
    # Refused whatever the roles say, so also by a bridge without any.
    malformed: bool = True
    # Large or slow: sent to one server only.
    heavy: bool = False
    # For one transport only: makes all that is sent.
    http1: Callable[[Any], bytes] | None = None
    http2: Callable[[Any], list] | None = None

    @property
    def speaks(self):
        return self.revision or REVISION[self.era]


def utf8(text, codec="utf-8"):
    """A body from text, or from bytes that are no text."""
    if isinstance(text, bytes):
        return lambda mark: text.replace(MARK.encode(), mark.encode())
    return lambda mark: text.replace(MARK, mark).encode(codec, "surrogatepass")


class Message:
    """Members of a call and of its `params`, each as it is written: key and value."""

    def __init__(self, era, name=SAFE, arguments=ARGUMENTS, method='"tools/call"', id="7"):
        self.envelope = [('"jsonrpc"', '"2.0"'), ('"id"', id), ('"method"', method), ('"params"', None)]
        self.params = [('"name"', name), ('"arguments"', arguments)]
        if era == STATELESS:
            self.params.append(('"_meta"', meta()))

    def text(self):
        params = obj(self.params)
        return obj([(key, params if value is None else value) for key, value in self.envelope])

    def where(self, key):
        """The list that has the member, and its index."""
        for members in (self.envelope, self.params):
            for index, (found, _) in enumerate(members):
                if found == f'"{key}"':
                    return members, index
        raise KeyError(key)

    def set(self, key, value):
        members, index = self.where(key)
        members[index] = (members[index][0], value)
        return self

    def rename(self, key, to):
        members, index = self.where(key)
        members[index] = (to, members[index][1])
        return self

    def drop(self, key):
        members, index = self.where(key)
        del members[index]
        return self

    def beside(self, key, member, first):
        """Puts a member before or after another."""
        members, index = self.where(key)
        members.insert(index + (0 if first else 1), member)
        return self


def obj(members):
    return "{" + ",".join(f"{key}:{value}" for key, value in members) + "}"


def meta(*more, version=REVISION[STATELESS]):
    return obj(
        [
            ('"io.modelcontextprotocol/protocolVersion"', f'"{version}"'),
            ('"io.modelcontextprotocol/clientCapabilities"', "{}"),
            *more,
        ]
    )


def call(era, name=SAFE, arguments=ARGUMENTS, **more):
    return Message(era, name, arguments, **more).text()


def named(tool):
    """The header of a stateless call that agrees with this tool."""
    return (("Mcp-Name", tool),)


class Group:
    """Collects the cases of one class."""

    def __init__(self, group):
        self.group, self.cases = group, []

    def add(self, name, era, body, expect=REFUSED, **more):
        self.cases.append(Case(self.group, name, era, expect, body if callable(body) else utf8(body), **more))

    def hostile(self, name, era, body, **more):
        """A body that must be refused. Where headers have to agree, they agree with each of the two tools in turn:
        else the header alone could be what it is refused for."""
        if era == STATELESS and "headers" not in more:
            self.add(f"{name}, header safe", era, body, headers=named("safe_read"), **more)
            self.add(f"{name}, header denied", era, body, headers=named("admin_delete"), **more)
        else:
            self.add(name, era, body, **more)


def quoted(text):
    return json.dumps(text, ensure_ascii=False)


def escaped(text):
    """A JSON string with each character as `\\uXXXX`."""
    units = text.encode("utf-16-be", "surrogatepass")
    return '"' + "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2)) + '"'
