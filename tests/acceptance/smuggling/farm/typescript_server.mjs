// A server on the TypeScript SDK, of line 1 (`@modelcontextprotocol/sdk`) or 2 (`@modelcontextprotocol/server`). It has
// the tools of the farm, and writes a line for each that it runs.

import { randomUUID } from "node:crypto";
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    sdk: { type: "string" },
    peers: { type: "string" },
    "execution-log": { type: "string" },
    http: { type: "boolean", default: false },
  },
});
const require = createRequire(`${values.peers}/node/package.json`);
const identity = { name: `farm-typescript-${values.sdk}`, version: "1.0.0" };
const schema = { type: "object", properties: { path: { type: "string" } } };
const tools = ["safe_read", "admin_delete"].map((name) => ({ name, inputSchema: schema }));

function called({ params }) {
  const line = { tool: params.name, arguments: params.arguments ?? {} };
  appendFileSync(values["execution-log"], `${JSON.stringify(line)}\n`);
  return { content: [{ type: "text", text: `ran ${params.name}` }] };
}

await (values.sdk === "1" ? first() : second());

/** Sessions, each with a server and a transport of its own, as the examples of line 1 have them. */
async function first() {
  const { Server } = require("@modelcontextprotocol/sdk/server/index.js");
  const { CallToolRequestSchema, ListToolsRequestSchema } = require("@modelcontextprotocol/sdk/types.js");
  const { StdioServerTransport } = require("@modelcontextprotocol/sdk/server/stdio.js");
  const { StreamableHTTPServerTransport } = require("@modelcontextprotocol/sdk/server/streamableHttp.js");
  const make = () => {
    const server = new Server(identity, { capabilities: { tools: {} } });
    server.setRequestHandler(ListToolsRequestSchema, () => ({ tools }));
    server.setRequestHandler(CallToolRequestSchema, called);
    return server;
  };
  if (!values.http) {
    await make().connect(new StdioServerTransport());
    return;
  }
  const sessions = new Map();
  listen(async (request, response) => {
    let transport = sessions.get(request.headers["mcp-session-id"]);
    if (!transport) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => sessions.set(id, transport),
      });
      await make().connect(transport);
    }
    await transport.handleRequest(request, response);
  });
}

/** One factory for both transports and both eras, as line 2 wants it. */
async function second() {
  const { Server, createMcpHandler } = require("@modelcontextprotocol/server");
  const { serveStdio } = require("@modelcontextprotocol/server/stdio");
  const { toNodeHandler } = require("@modelcontextprotocol/node");
  const make = () => {
    const server = new Server(identity, { capabilities: { tools: {} } });
    server.setRequestHandler("tools/list", () => ({ tools }));
    server.setRequestHandler("tools/call", called);
    return server;
  };
  if (!values.http) {
    serveStdio(make);
    return;
  }
  listen(toNodeHandler(createMcpHandler(make)));
}

function listen(handler) {
  const server = createServer(handler).listen(0, "127.0.0.1", () => {
    console.log(`http://127.0.0.1:${server.address().port}/mcp`);
  });
}
