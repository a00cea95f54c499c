"""Processes that a part starts and is answerable for. Each has its own session,
its output in a file, and an end: at the latest when the `with` block does. None
is ever ended by name."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request


class Processes:
    """The processes of one part; ended in reverse order."""

    def __init__(self, logs):
        self.logs = pathlib.Path(logs)
        self.logs.mkdir(parents=True, exist_ok=True)
        self.running = []

    def __enter__(self):
        # Told to end, a part still ends what it has started.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        return self

    def __exit__(self, *_):
        # All of them, the last first, also where one does not end as it should.
        with contextlib.ExitStack() as stack:
            for process in self.running:
                stack.callback(self.end, process)

    def start(self, name, command, environment=None, directory=None, piped=False, stdin=subprocess.DEVNULL):
        """Starts a command; stdout and stderr go to files named after `name`. Its stdin is empty, or a pipe from here,
        or what is given."""
        out, err = (open(self.logs / f"{name}.{stream}", "wb") for stream in ("out", "err"))
        with out, err:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.PIPE if piped else stdin,
                stdout=out,
                stderr=err,
                env={**os.environ, **(environment or {})},
                cwd=directory,
                start_new_session=True,
            )
        process.name = name
        self.running.append(process)
        return process

    def end(self, process, patience=15):
        """SIGTERM; after `patience` seconds SIGKILL. What is left of its own process group is killed too."""
        self.running.remove(process)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(patience)
            raise Failed(f"`{process.name}` ignored SIGTERM for {patience} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def kill(self, process):
        """SIGKILL, to this process alone, as a crash is. Returns once it is gone; whether it was this that ended it."""
        self.running.remove(process)
        process.kill()
        return process.wait() == -signal.SIGKILL

    def first_line(self, process, patience=20):
        """The first line on stdout, which some servers use to say where they listen."""
        def read():
            text = (self.logs / f"{process.name}.out").read_text()
            return text.split("\n")[0] if "\n" in text else None

        return self.wait(process, read, patience)

    def answers(self, process, url, patience=30, status=200):
        """Waits until `url` answers with `status`."""
        def ask():
            try:
                with urllib.request.urlopen(url, timeout=2) as response:
                    return response.status == status
            except urllib.error.HTTPError as error:
                return error.code == status
            except OSError:
                return False

        return self.wait(process, ask, patience)

    def wait(self, process, condition, patience):
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise Failed(f"`{process.name}` ended with {process.returncode}: {self.last_words(process)}")
            if value := condition():
                return value
            time.sleep(0.05)
        raise Failed(f"`{process.name}` was not ready in {patience} s: {self.last_words(process)}")

    def last_words(self, process):
        text = (self.logs / f"{process.name}.err").read_text(errors="replace").strip()
        return text[-2000:] or "(nothing on stderr)"


class Failed(Exception):
    """Something that a part needs did not come up, or did not go down."""


def free_port():
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
