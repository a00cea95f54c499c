"""Real servers come and go by command and by the API while Narrows runs: each answers once it is there, and is not there
once it is removed."""

import asyncio
import json
import shutil
import time

from kit import gateway, places
from kit.calls import Caller

VERSION = "narrows.dev/v1alpha1"


def resource(value):
    return {"apiVersion": VERSION, **value}


def stdio(namespace, name, command, **env):
    spec = {"transport": "stdio", "command": [str(word) for word in command]}
    if env:
        spec["env"] = [{"name": name, "value": str(value)} for name, value in env.items()]
    return resource(gateway.server(namespace, name, **spec))


def servers(out):
    """Name, resource, a tool and its arguments."""
    files = out / "files"
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir()
    (files / "note.txt").write_text("what it says\n")
    node = shutil.which("node")
    package = lambda name: places.node() / "@modelcontextprotocol" / name / "dist" / "index.js"
    memory = out / "memory.jsonl"
    entity = {"name": "a", "entityType": "b", "observations": []}
    return [
        (stdio("dev", "filesystem", [node, package("server-filesystem"), files]), "read_text_file", {"path": str(files / "note.txt")}),
        (stdio("dev", "memory", [node, package("server-memory")], MEMORY_FILE_PATH=memory), "create_entities", {"entities": [entity]}),
        (stdio("dev", "everything", [node, package("server-everything"), "stdio"]), "echo", {"message": "hello"}),
        (stdio("dev", "demo", [places.binary("narrows"), "demo-server", "--root", files]), "clock", {}),
    ]


def call(narrows, token, name, tool, arguments):
    """The status of a call, and whether it has a result that is no error."""
    async def once():
        caller = Caller(narrows.port, f"/mcp/dev/{name}", token)
        try:
            await caller.connect()
            return await caller.call(tool, arguments)
        finally:
            caller.close()

    answer = asyncio.run(once())
    fine = b'"result"' in answer.body and b'"isError":true' not in answer.body.replace(b" ", b"")
    return answer.status, fine


def check(narrows, api, out, tally):
    """By turns: deployed by command and removed by the API, and the other way round."""
    token = narrows.token("caller@example.com", "callers")
    for number, (server, tool, arguments) in enumerate(servers(out)):
        name = server["metadata"]["name"]
        role = resource(gateway.role(f"use-{name}", gateway.allow("dev", name, tools=[tool])))
        binding = resource(gateway.binding(f"use-{name}", "callers"))
        file = out / f"{name}.json"
        file.write_text("\n---\n".join(json.dumps(value) for value in (server, role, binding)))
        problems = []
        if call(narrows, token, name, tool, arguments)[0] != 404:
            problems.append("it was there before")
        if number % 2 == 0:
            gateway.narrows("apply", "--data-dir", narrows.data, "-f", file, "--reason", f"deploy {name}")
        else:
            status, answer = api.change([server, role, binding], reason=f"deploy {name}")
            problems += [] if status == 200 else [f"deploying it: {status} {answer}"]
        # While it starts, it is said to.
        deadline = time.monotonic() + 20
        status, fine = call(narrows, token, name, tool, arguments)
        while status == 503 and time.monotonic() < deadline:
            time.sleep(0.05)
            status, fine = call(narrows, token, name, tool, arguments)
        if status != 200 or not fine:
            problems.append(f"a call to it is answered with {status}")
        # The same again changes nothing.
        status, answer = api.change([server, role, binding])
        if status != 200 or answer["applied"]:
            problems.append(f"the same again: {status} {answer}")
        named = [{"kind": kind, "name": known} for kind, known in (
            ("McpRoleBinding", f"use-{name}-callers"), ("McpRole", f"use-{name}"), ("McpServer", f"dev/{name}"))]
        if number % 2:
            gateway.narrows("delete", "--data-dir", narrows.data, "-f", file)
        else:
            status, answer = api.change(remove=named)
            problems += [] if status == 200 else [f"removing it: {status} {answer}"]
        if call(narrows, token, name, tool, arguments)[0] != 404:
            problems.append("it is there after it was removed")
        tally.check(f"`{name}` is deployed, called and removed", problems)
