"""Databases that are not what the record tells of: Narrows must not start on them, nor change anything by command."""

import contextlib
import hashlib
import json
import shutil
import sqlite3
import subprocess

from kit import gateway, places

CASES = {}


def case(name):
    return lambda alter: CASES.setdefault(name, alter)


@case("a rule was altered")
def altered(database, older):
    change(database, lambda text: text.replace('"replicas":1', '"replicas":2', 1))


@case("a rule was altered, and the digest beside it as well")
def altered_with_digest(database, older):
    text = change(database, lambda text: text.replace("https://mcp.example.com", "https://mcp.example.net", 1))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE snapshots SET digest = ? WHERE number = (SELECT max(number) FROM snapshots)", [digest])


@case("the newest revision was taken out")
def shortened(database, older):
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM snapshots WHERE number = (SELECT max(number) FROM snapshots)")


@case("one was put on top")
def lengthened(database, older):
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "INSERT INTO snapshots (number, published_at, digest, resources, managers)"
            " SELECT number + 1, published_at, digest, resources, managers FROM snapshots ORDER BY number DESC LIMIT 1"
        )


@case("an older copy is in its place")
def exchanged(database, older):
    shutil.copy(older, database)


@case("it is gone")
def gone(database, older):
    database.unlink()


def change(database, how):
    """Rewrites the resources of the newest revision; they must be different then."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        (text,) = connection.execute("SELECT resources FROM snapshots ORDER BY number DESC LIMIT 1").fetchone()
        altered = how(text)
        assert altered != text, "there is nothing to alter"
        connection.execute(
            "UPDATE snapshots SET resources = ? WHERE number = (SELECT max(number) FROM snapshots)", [altered]
        )
    return altered


def check(processes, narrows, out, tally):
    """`narrows` is stopped; each case has a copy of its data directory."""
    older = out / "older.db"
    whole(narrows.data / "narrows.db", older)
    file = out / "last.json"
    server = gateway.server("lab", "last", transport="http", url="https://mcp.example.com/last")
    file.write_text(json.dumps({"apiVersion": "narrows.dev/v1alpha1", **server}))
    gateway.narrows("apply", "--data-dir", narrows.data, "-f", file)
    for name, alter in {"nothing was altered": None, **CASES}.items():
        copy = out / "tampered"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(narrows.data, copy, ignore=shutil.ignore_patterns("*.sock"))
        whole(narrows.data / "narrows.db", copy / "narrows.db")
        for more in copy.glob("narrows.db-*"):
            more.unlink()
        if alter:
            alter(copy / "narrows.db", older)
        problems = []
        for words in (["up", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"], ["delete", "server", "lab/last"]):
            command = [str(word) for word in (places.binary("narrows"), *words, "--data-dir", copy)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=3 if alter is None else 30)
                refused = done.returncode == 1 and "narrows.db" in done.stderr or "is damaged" in done.stderr
                said = f"exit {done.returncode}: {done.stderr}"
            except subprocess.TimeoutExpired:
                refused, said = False, "it runs"
            if refused != bool(alter):
                problems.append(f"`{words[0]}`: {said}")
        tally.check(f"a database where {name}" if alter else "a database that was only copied", problems)


def whole(database, to):
    """A copy with what is in the write-ahead log."""
    with contextlib.closing(sqlite3.connect(database)) as source, contextlib.closing(sqlite3.connect(to)) as target:
        source.backup(target)
    to.chmod(0o600)
