"""A server behind the gateway that keeps every byte it is sent, and answers enough of MCP, in both eras, for a call to
succeed. What is in `seen` reached it; what is not did not. It can play the collector of traces as well."""

import contextlib
import http.server
import json
import threading


class Recorder:
    def __init__(self):
        self.seen = []  # of bytes: request line, headers and body of each request
        self.tools = []  # the tools that ran
        self.traces = []  # bodies of what was sent to a collector
        self.script = None  # given the handler and the message (None for GET), writes an answer of its own and says so
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.server = Server(("127.0.0.1", 0), self.handler())
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.url = f"{self.origin}/mcp"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()

    def keep(self, request, body):
        lines = [request.requestline, *(f"{name}: {value}" for name, value in request.headers.items())]
        with self.lock:
            self.seen.append("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def result(self, method, params):
        if method == "initialize":
            served = {"tools": {}}
            return {
                "protocolVersion": params.get("protocolVersion", "2025-11-25"),
                "capabilities": served,
                "serverInfo": {"name": "recorder", "version": "1"},
            }
        if method == "tools/call":
            with self.lock:
                self.tools.append(params.get("name"))
            text = json.dumps(params.get("arguments"))
            return {"resultType": "complete", "content": [{"type": "text", "text": text}]}
        if method == "tools/list":
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("safe_read", "admin_delete")]
            return {"resultType": "complete", "tools": tools}
        return {"resultType": "complete"}

    def handler(recorder):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path == "/v1/traces":
                    recorder.traces.append(body)
                    return self.answer(200, b"", [("Content-Type", "application/x-protobuf")])
                recorder.keep(self, body)
                message = json.loads(body)
                if recorder.script and recorder.script(self, message):
                    return
                if "id" not in message or "method" not in message:
                    return self.answer(202, b"")
                result = recorder.result(message["method"], message.get("params") or {})
                answer = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
                session = [("Mcp-Session-Id", f"of-the-server-{len(recorder.seen)}")] if message["method"] == "initialize" else []
                self.answer(200, answer, [("Content-Type", "application/json"), *session])

            def do_GET(self):
                recorder.keep(self, b"")
                if recorder.script and recorder.script(self, None):
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True
                with contextlib.suppress(OSError):
                    while not recorder.stopping.wait(0.5):
                        self.wfile.write(b": here\n\n")
                        self.wfile.flush()

            def do_DELETE(self):
                recorder.keep(self, b"")
                self.answer(204, b"")

            def answer(self, status, body, headers=()):
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        """Who leaves early is no error of this server."""
