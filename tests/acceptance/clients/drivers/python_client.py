"""Drives a Python client: that of the `mcp` package, or fastmcp's."""

import argparse
import asyncio
import json
import os
import sys

MODERN = "2026-07-28"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--client", choices=["mcp", "fastmcp"], required=True)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url")
    where.add_argument("--stdio", metavar="SERVER", help="a stdio server to start: JSON with `command` and `env`; `mcp` only")
    parser.add_argument("--era", choices=["legacy", "modern"], required=True)
    parser.add_argument("--call", nargs=2, action="append", default=[], metavar=("TOOL", "ARGUMENTS"))
    options = parser.parse_args()
    token = os.environ.get("NARROWS_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    mode = MODERN if options.era == "modern" else "legacy"
    drive = {"mcp": drive_mcp, "fastmcp": drive_fastmcp}[options.client]
    try:
        print(json.dumps(asyncio.run(asyncio.wait_for(drive(options, headers, mode), 60))))
    except Exception as error:
        sys.exit("\n".join(f"{type(cause).__name__}: {cause}" for cause in causes(error)))


async def drive_mcp(options, headers, mode):
    import httpx2
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters
    from mcp.client.streamable_http import streamable_http_client

    if options.stdio:
        server = json.loads(options.stdio)
        program, *words = server["command"]
        return await converse(Client(StdioServerParameters(command=program, args=words, env=server["env"]), mode=mode), options)
    async with httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30, read=60)) as http:
        return await converse(Client(streamable_http_client(options.url, http_client=http), mode=mode), options)


async def converse(client, options):
    async with client:
        tools = (await client.list_tools()).tools
        calls = [await outcome(client.call_tool, call) for call in options.call]
        return report(client.protocol_version, tools, calls)


async def drive_fastmcp(options, headers, mode):
    from fastmcp import Client
    from fastmcp.client.transports import StreamableHttpTransport

    async with Client(StreamableHttpTransport(options.url, headers=headers), mode=mode) as client:
        tools = await client.list_tools()
        calls = [await outcome(client.call_tool_mcp, call) for call in options.call]
        return report(client.protocol_version, tools, calls)


async def outcome(call_tool, call):
    tool, arguments = call
    try:
        result = await call_tool(tool, json.loads(arguments))
    except Exception as error:
        return {"tool": tool, "error": f"{type(error).__name__}: {error}"}
    content = [block.model_dump(mode="json", exclude_none=True) for block in result.content]
    return {"tool": tool, "toolError" if result.is_error else "content": content}


def causes(error):
    """What is inside of groups of exceptions."""
    inner = getattr(error, "exceptions", None)
    return [cause for nested in inner for cause in causes(nested)] if inner else [error]


def report(revision, tools, calls):
    return {"revision": revision, "tools": [tool.name for tool in tools], "calls": calls}


if __name__ == "__main__":
    sys.exit(main())
