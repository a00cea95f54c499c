"""What came back."""

import dataclasses
import json


class NoAnswer(Exception):
    """The connection ended before there was an answer."""


@dataclasses.dataclass
class Answer:
    status: int | None
    body: bytes = b""
    error: str | None = None
    headers: dict = dataclasses.field(default_factory=dict)

    @property
    def code(self):
        """The code of the JSON-RPC error, where it is one."""
        try:
            return json.loads(self.body)["error"]["code"]
        except (ValueError, KeyError, TypeError):
            return None

    def __str__(self):
        return f"{self.status or 'no answer'} {self.error or ''} {self.body[:200].decode(errors='replace')}".strip()
