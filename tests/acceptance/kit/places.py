"""Where things are: the clone, the binaries under test, the pinned peers, and the
directory for what a part leaves behind."""

import os
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(os.environ.get("NARROWS_BIN_DIR", ROOT / "target" / "debug"))
OUT = ROOT / "out" / "acceptance"


def binary(name):
    return BIN / name


def peers():
    """The pinned peers. Where there are none, a part that was run directly ends with a line that says how to get them."""
    installed = ROOT / ".peers" / "current"
    if not (installed / "complete").exists():
        part = pathlib.Path(sys.argv[0]).resolve().parent.name
        sys.exit(f"error: the test peers are not installed; `./acceptance {part}` installs them and runs this part")
    return installed


def node():
    """What npm has installed of them."""
    return peers() / "node" / "node_modules"


def fresh(part):
    """An empty directory for the logs and results of a part."""
    directory = OUT / part
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def with_node(environment=None):
    """The environment with the pinned node first on the path."""
    return {**os.environ, **(environment or {}), "PATH": f"{node() / '.bin'}:{os.environ['PATH']}"}
