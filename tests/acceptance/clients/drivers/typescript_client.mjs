// Drives a TypeScript client: that of `@modelcontextprotocol/sdk` (1.x) or of `@modelcontextprotocol/client` (2.x).

import { createRequire } from "node:module";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  options: {
    client: { type: "string" },
    peers: { type: "string" },
    url: { type: "string" },
    era: { type: "string" },
    call: { type: "string", multiple: true, default: [] },
  },
  allowPositionals: true,
});
// `--call TOOL ARGUMENTS`: node reads the first of the two as the option's value.
const calls = values.call.map((tool, index) => ({ tool, arguments: JSON.parse(positionals[index]) }));
const require = createRequire(`${values.peers}/node/package.json`);
const identity = { name: "typescript-client", version: "1.0.0" };
const headers = process.env.NARROWS_TOKEN ? { Authorization: `Bearer ${process.env.NARROWS_TOKEN}` } : {};
const deadline = setTimeout(() => {
  console.error("no answer in time");
  process.exit(1);
}, 60_000);

// One line is enough; the stack is the SDK's own.
process.on("uncaughtException", (error) => {
  console.error(`${error.constructor.name}: ${error.message}`);
  process.exit(1);
});

const { client, transport } = values.client === "1" ? first() : second();
await client.connect(transport);
const { tools } = await client.listTools();
const outcomes = [];
for (const call of calls) {
  outcomes.push(await outcome(call));
}
const revision = values.client === "1" ? transport.protocolVersion : client.getNegotiatedProtocolVersion();
if (values.client === "1") {
  await transport.terminateSession();
}
await client.close();
clearTimeout(deadline);
console.log(JSON.stringify({ revision, tools: tools.map((tool) => tool.name), calls: outcomes }));

function first() {
  const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const transport = new StreamableHTTPClientTransport(new URL(values.url), { requestInit: { headers } });
  return { client: new Client(identity), transport };
}

function second() {
  const { Client, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");
  const mode = values.era === "modern" ? { pin: "2026-07-28" } : "legacy";
  const transport = new StreamableHTTPClientTransport(new URL(values.url), { requestInit: { headers } });
  return { client: new Client(identity, { versionNegotiation: { mode } }), transport };
}

async function outcome(call) {
  try {
    const result = await client.callTool({ name: call.tool, arguments: call.arguments });
    return { tool: call.tool, [result.isError ? "toolError" : "content"]: result.content };
  } catch (error) {
    return { tool: call.tool, error: `${error.constructor.name}: ${error.message}` };
  }
}
