"""The load: what is called, and one run of `wrk` with what it cost."""

import json
import subprocess

from . import machine

LUA = """
wrk.method = "POST"
wrk.body = [==[{body}]==]
{headers}
done = function(summary, latency, requests)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write
    + summary.errors.status + summary.errors.timeout
  io.stderr:write(string.format('{{"requests":%d,"micros":%d,"bytes":%d,"failed":%d,"p50":%d,"p99":%d}}\\n',
    summary.requests, summary.duration, summary.bytes, failed, latency:percentile(50), latency:percentile(99)))
end
"""


class Case:
    """A request, and over how many connections it is made. `least` is the length of its result's text; of a list,
    how many tools are listed at least."""

    def __init__(self, work, tool, connections, kind="application/json", least=200, method="tools/call"):
        self.work, self.tool, self.connections, self.kind, self.least = work, tool, connections, kind, least
        self.method = method
        named = {"name": tool, "arguments": {"text": "x" * (15 - len(tool))}} if method == "tools/call" else {}
        self.body = json.dumps({
            "jsonrpc": "2.0", "id": 1, "method": method,
            "params": {
                **named,
                "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                          "io.modelcontextprotocol/clientCapabilities": {}},
            },
        }, separators=(",", ":"))
        self.headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": method,
            **({"Mcp-Name": tool} if named else {}),
        }

    def of(self, tool):
        """The same call of another tool."""
        return Case(self.work, tool, self.connections, self.kind, self.least)

    def fits(self, status, kind, body):
        """Whether it is the result, whole and of the right kind: a benchmark of refusals is none."""
        if status != 200 or kind != self.kind:
            return False
        if kind == "text/event-stream":
            data = [line[5:].strip() for line in body.splitlines() if line.startswith("data:")]
            body = next((text for text in data if text), "")
        message = json.loads(body)
        result = message.get("result", {})
        if self.method == "tools/list":
            return message.get("id") == 1 and len(result.get("tools", [])) >= self.least
        content = result.get("content") or [{}]
        return message.get("id") == 1 and len(content[0].get("text", "")) >= self.least


CASES = [
    Case("small", "echo", 64),
    Case("small", "echo", 1),
    Case("big", "big", 64, least=100_000),
    Case("sse", "sse", 64, kind="text/event-stream"),
]
# 20 tools, of which roles grant 6.
LIST = Case("list", None, 64, least=6, method="tools/list")


def run(subjects, subject, case, seconds, warm=1):
    """One run. All of its requests were answered without an error and executed by the server."""
    directory = subjects.processes.directory
    script = directory / f"{subject.name}.lua"
    headers = {**case.headers, **subject.headers}
    lines = "\n".join(f'wrk.headers["{key}"] = "{value}"' for key, value in headers.items())
    script.write_text(LUA.format(body=case.body, headers=lines))
    command = ["wrk", "-t1", f"-c{case.connections}", "--timeout", "10s", "-s", str(script), subject.url]
    if warm:
        subprocess.run([*command, f"-d{warm}s"], check=True, capture_output=True)
    executed, cpu = subjects.executed(), spent(subject)
    done = subprocess.run([*command, f"-d{seconds}s"], check=True, capture_output=True, text=True)
    cpu, executed = spent(subject) - cpu, subjects.executed() - executed
    figures = json.loads(done.stderr.strip().splitlines()[-1])
    problem = wrong(case, figures, executed)
    if problem:
        raise SystemExit(f"error: {subject.name}, `{case.tool}`: {problem}; see {directory}")
    return {
        "rps": figures["requests"] / (figures["micros"] / 1e6),
        "p50": figures["p50"],
        "p99": figures["p99"],
        "cpu": cpu * 1e6 / figures["requests"],
        "executed": executed,
    }


def wrong(case, figures, executed):
    """What shows that a run was not of the calls that it should have been of."""
    requests = figures["requests"]
    if not requests:
        return "no request was answered"
    if figures["failed"]:
        return f"{figures['failed']} of {requests} requests failed"
    # A refusal would not have reached the server. Those that were under way when wrk ended were executed and not counted by it.
    if not requests <= executed <= requests + 2 * case.connections:
        return f"{requests} requests were answered, but the server has executed {executed}"
    if figures["bytes"] / requests < case.least:
        return "the answers were too short"
    return None


def spent(subject):
    return machine.cpu_seconds(subject.pid) if subject.pid else 0
