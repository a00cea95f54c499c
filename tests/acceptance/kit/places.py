"""Where things are: the clone, the binaries under test, the pinned peers, and the
directory for what a part leaves behind."""

import os
import pathlib
import shutil

ROOT = pathlib.Path(__file__).resolve().parents[3]
PEERS = ROOT / ".peers" / "current"
NODE = PEERS / "node" / "node_modules"
BIN = pathlib.Path(os.environ.get("NARROWS_BIN_DIR", ROOT / "target" / "debug"))
OUT = ROOT / "out" / "acceptance"


def binary(name):
    return BIN / name


def fresh(part):
    """An empty directory for the logs and results of a part."""
    directory = OUT / part
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def with_node(environment=None):
    """The environment with the pinned node first on the path."""
    return {**os.environ, **(environment or {}), "PATH": f"{NODE / '.bin'}:{os.environ['PATH']}"}
