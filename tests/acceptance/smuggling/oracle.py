"""What was sent, what was recorded and what ran: are they the same?"""

import dataclasses
import hashlib
import hmac
import json
import re

from .corpus.case import ARGUMENTS, MARK, REFUSED, RUNS

MARKS = re.compile(r"m[0-9a-f]{7}z")
STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
TOKEN = re.compile(rf"{STRING}|[ \t\n\r]+")
STRUCTURE = re.compile(rf"{STRING}|[{{}}\[\],]")


@dataclasses.dataclass
class Sent:
    """A case on its way to a server."""

    case: object
    endpoint: object
    wire: str
    mark: str
    answers: list = dataclasses.field(default_factory=list)
    ran: list = dataclasses.field(default_factory=list)
    admitted: list = dataclasses.field(default_factory=list)

    def __str__(self):
        return f"{self.case.group}: {self.case.name} ({self.case.era}, {self.wire} to {self.endpoint.name})"


def normal(text):
    """The normal form that docs/audit.md speaks of: no white space, one spelling of strings, all else as written.
    An own reading of JSON, on top of the standard library's."""
    json.loads(text, object_pairs_hook=_unrepeated, parse_constant=_refuse)

    def respelt(found):
        token = found[0]
        if token[0] != '"':
            return ""
        return json.dumps(json.loads(token), ensure_ascii=False) if "\\" in token else token

    return TOKEN.sub(respelt, text)


def _unrepeated(pairs):
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member stands there twice")
    return dict(pairs)


def _refuse(word):
    raise ValueError(word)


def member(text, name):
    """The text of a member of an object in normal form."""
    depth, start, wanted = 0, None, json.dumps(name, ensure_ascii=False)
    for found in STRUCTURE.finditer(text):
        token = found[0]
        if depth == 1 and start is None and token == wanted and text.startswith(":", found.end()):
            start = found.end() + 1
        elif depth == 1 and start is not None and token in ",}":
            return text[start : found.start()]
        depth += (token in "{[") - (token in "}]")
    return None


def arguments(body):
    """The arguments of the call, or of each call of a batch, as they should be recorded."""
    try:
        text = normal(body.decode())
        text.encode()
        messages = [json.loads(text)]
        if isinstance(messages[0], list):
            found = [
                json.dumps(message["params"]["arguments"], ensure_ascii=False, separators=(",", ":"))
                for message in messages[0]
                if isinstance(message, dict)
            ]
            return found
        return [member(member(text, "params"), "arguments") or "{}"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


class Oracle:
    def __init__(self, key):
        self.key = key
        self.sent = {}

    def add(self, sent):
        self.sent[sent.mark] = sent

    def digest(self, text):
        return f"hmac-sha256:{hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()}"

    def wanted(self, sent):
        """The arguments that a case may run with, in normal form."""
        if sent.case.http1 or sent.case.http2:
            return [ARGUMENTS.replace(MARK, sent.mark)]
        return arguments(sent.case.body(sent.mark))

    def problems(self, records, endpoints):
        """Everything that is not as it must be."""
        yield from self._recorded(records)
        for endpoint in endpoints:
            yield from self._ran(endpoint)
        for sent in self.sent.values():
            yield from (f"{sent}: {problem}" for problem in self._one(sent))

    def _recorded(self, records):
        outcomes = {
            record["intent"]: record["outcome"]["status"] for record in records if record["kind"] == "request.completed"
        }
        by_digest = {}
        for sent in self.sent.values():
            for text in self.wanted(sent):
                by_digest[sent.endpoint.name, self.digest(text)] = sent
        for record in records:
            if record["kind"] != "request.admitted" or "tool" not in record["request"]:
                continue
            tool, server = record["request"]["tool"], record["object"]["name"]
            if tool != "safe_read":
                yield f"`{tool}` was admitted on {server}"
            sent = by_digest.get((server, record["request"].get("argsDigest")))
            if not sent:
                yield f"recorded on {server}, but nobody sent such arguments: {json.dumps(record)}"
                continue
            sent.admitted.append(outcomes.get(record["index"], "none"))

    def _ran(self, endpoint):
        for line in endpoint.ran():
            tool = json.loads(member(line, "tool"))
            if tool == "admin_delete":
                yield f"THE DENIED TOOL RAN on {endpoint.name}: {line[:300]}"
            elif tool != "safe_read":
                yield f"something else ran on {endpoint.name}: {line[:300]}"
            found = MARKS.search(line)
            sent = found and self.sent.get(found[0])
            if not sent or sent.endpoint is not endpoint:
                yield f"on {endpoint.name} ran what nobody sent there: {line[:300]}"
                continue
            sent.ran.append(member(line, "arguments"))

    def _one(self, sent):
        case = sent.case
        if not sent.answers:
            yield "it was not sent"
            return
        if any(answer.status and answer.status >= 500 for answer in sent.answers):
            yield f"a 5xx: {sent.answers[0]}"
        if len(sent.ran) > len(sent.admitted):
            yield f"ran {len(sent.ran)} times, recorded {len(sent.admitted)} times"
        if sent.admitted.count("ok") > len(sent.ran):
            yield f"recorded {sent.admitted.count('ok')} times as done, ran {len(sent.ran)} times"
        wanted = self.wanted(sent)
        for text in sent.ran:
            if not any(same(sent.endpoint.sdk, text, each) for each in wanted):
                yield f"ran with {text[:200]}, sent {wanted[0][:200] if wanted else 'nothing that reads'}"
        if case.expect == REFUSED:
            if sent.admitted:
                yield f"admitted, should be refused: {sent.answers[0]}"
            if any(answer.status and answer.status < 400 for answer in sent.answers):
                yield f"not refused: {sent.answers[0]}"
            if case.code and sent.answers[0].code != case.code:
                yield f"refused with {sent.answers[0].code}, should be {case.code}: {sent.answers[0]}"
        elif case.expect == RUNS:
            if len(sent.ran) != 1 or sent.answers[0].status != 200:
                yield f"ran {len(sent.ran)} times, should run once: {sent.answers[0]}"


def same(sdk, ran, sent):
    """Whether a tool ran with what was sent. Go's writes it as it got it; of the others it is the value that counts."""
    if sdk == "go":
        return ran == sent
    if sdk.startswith("typescript"):
        # Every number is a double there: integers above 2^53 are rounded by the server, after they were judged. And the
        # SDK's schemas drop a member `__proto__`.
        kept = lambda pairs: {name: value for name, value in pairs if name != "__proto__"}
        read = lambda text: json.loads(text, parse_int=float, object_pairs_hook=kept)
        return read(ran) == read(sent)
    ran, sent = json.loads(ran), json.loads(sent)
    return ran == sent


def strict(jobs, endpoints):
    """What is wrong where nobody judges: something ran that the body, read strictly, does not say."""
    marks = {job.mark: job for job in jobs}
    for endpoint in endpoints:
        for line in endpoint.ran():
            found = MARKS.search(line)
            if not found or marks[found[0]].endpoint is not endpoint:
                yield f"on {endpoint.name} ran what nobody sent there: {line[:300]}"
                continue
            job = marks[found[0]]
            job.ran.append(line)
            tool = json.loads(member(line, "tool"))
            body = job.case.body(job.mark)
            said = arguments(body)
            if not said or not same(endpoint.sdk, member(line, "arguments"), said[0]):
                yield f"{job}: ran {line[:200]}, which it does not say"
            elif json.loads(member(member(normal(body.decode()), "params"), "name")) != tool:
                yield f"{job}: ran `{tool}`, which it does not say"
    for job in jobs:
        if any(answer.status and answer.status >= 500 for answer in job.answers):
            yield f"{job}: {job.answers[0]}"
        if len(job.ran) > 1:
            yield f"{job}: ran {len(job.ran)} times"
        if job.case.expect == RUNS and len(job.ran) != 1:
            yield f"{job}: did not run: {job.answers[0] if job.answers else 'no answer'}"


def export(text_lines):
    """The records of an exported log, each with its index."""
    return [{**json.loads(line), "index": index} for index, line in enumerate(text_lines)]
