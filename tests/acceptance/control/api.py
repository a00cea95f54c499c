"""The people's API as a program uses it: HTTP/1.1 over the Unix socket in the data directory."""

import http.client
import json
import socket


class Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Api:
    def __init__(self, data, timeout=30):
        self.path, self.key, self.timeout = data / "run" / "api.sock", data / "keys" / "api.key", timeout

    def ask(self, method, path, body=None):
        """The status and what was answered. Raises `OSError` or `HTTPException` where nothing was."""
        connection = Connection(self.path, self.timeout)
        try:
            text = None if body is None else json.dumps(body)
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key.read_text()}"}
            connection.request(method, f"/api/v1{path}", text, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def change(self, resources=(), remove=(), **members):
        documents = [{"name": "here", "text": "\n---\n".join(json.dumps(resource) for resource in resources)}]
        body = {"documents": documents if resources else [], "remove": list(remove), **members}
        return self.ask("POST", "/changes", body)

    def get(self, path):
        status, answer = self.ask("GET", path)
        if status != 200:
            raise OSError(f"{path}: {status} {answer}")
        return answer
