"""Drives the Inspector's command line, which does one thing a run."""

import argparse
import json
import os
import subprocess
import sys


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--era", choices=["legacy", "modern"], required=True)
    parser.add_argument("--call", nargs=2, action="append", default=[], metavar=("TOOL", "ARGUMENTS"))
    options = parser.parse_args()
    listed = inspect(options, ["--method", "tools/list"])
    if listed.returncode != 0:
        sys.exit(f"tools/list: {listed.stderr.strip() or listed.stdout.strip()}")
    result = json.loads(listed.stdout)["result"]
    calls = [outcome(options, *call) for call in options.call]
    tools = [tool["name"] for tool in result["tools"]]
    print(json.dumps({"revision": None, "tools": tools, "calls": calls}))


def outcome(options, tool, arguments):
    done = inspect(options, ["--method", "tools/call", "--tool-name", tool, "--tool-args-json", arguments])
    try:
        answer = json.loads(done.stdout)
        result = answer["result"]
    except (ValueError, KeyError):
        return {"tool": tool, "error": done.stderr.strip() or done.stdout.strip()}
    return {"tool": tool, "toolError" if result.get("isError") else "content": result["content"]}


def inspect(options, words):
    bin = os.path.join(options.peers, "node", "node_modules", ".bin")
    command = [os.path.join(bin, "mcp-inspector"), "--cli", options.url, "--transport", "http"]
    command += ["--protocol-era", options.era, "--format", "json", "--quiet", *words]
    if os.environ.get("NARROWS_TOKEN"):
        command += ["--header", f"Authorization: Bearer {os.environ['NARROWS_TOKEN']}"]
    environment = {**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


if __name__ == "__main__":
    main()
