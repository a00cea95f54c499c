"""A server on the Python SDK. It has the tools of the farm, and writes a line for
each that it runs."""

import argparse
import json
import socket

import anyio
import mcp_types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--http", action="store_true")
    parser.add_argument("--execution-log", required=True)
    arguments = parser.parse_args()
    server = make(arguments.execution_log)
    if not arguments.http:
        anyio.run(over_stdio, server)
        return
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


def make(log):
    async def list_tools(context, params):
        tools = [types.Tool(name=name, input_schema=SCHEMA) for name in ("safe_read", "admin_delete")]
        return types.ListToolsResult(tools=tools)

    async def call_tool(context, params):
        line = json.dumps({"tool": params.name, "arguments": params.arguments or {}}, separators=(",", ":"))
        with open(log, "a") as file:
            file.write(f"{line}\n")
        return types.CallToolResult(content=[types.TextContent(text=f"ran {params.name}")])

    return Server("farm-python", version="1.0.0", on_list_tools=list_tools, on_call_tool=call_tool)


async def over_stdio(server):
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


if __name__ == "__main__":
    main()
