"""The library that makes calls of the process under test fail, and the orders that it follows. It is compiled anew for
each run; the orders are in shared memory, so that they are in force with the next call."""

import contextlib
import mmap
import pathlib
import struct
import subprocess

HERE = pathlib.Path(__file__).resolve().parent

# As in faults.c.
WRITE, SYNC, TRUNCATE, CREATE, ALLOCATE, RENAME = 1, 2, 4, 8, 16, 32
EVERYTHING = 63
ORDERS = struct.Struct("=IiIiIIq64s")
MET = slice(20, 24)


def compile_library(out):
    library = out / "faults.so"
    command = ["cc", "-std=c11", "-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o", library, HERE / "faults.c", "-ldl"]
    subprocess.run([str(word) for word in command], check=True)
    return library


class Preload:
    def __init__(self, library, out, below):
        self.file = out / "orders"
        self.file.write_bytes(bytes(ORDERS.size))
        with self.file.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), ORDERS.size)
        self.clock = 0
        below.mkdir(mode=0o700, exist_ok=True)
        self.environment = {"LD_PRELOAD": library, "NARROWS_FAULTS": self.file, "NARROWS_FAULTS_BELOW": below}
        self.environment = {name: str(value) for name, value in self.environment.items()}

    def order(self, calls=0, error=0, hang=0.0, times=-1, part=0, name=""):
        """Puts an order in force; without arguments, takes it back."""
        # The calls last, and first none: no call meets half of an order.
        self.memory[:4] = bytes(4)
        whole = ORDERS.pack(calls, error, int(hang * 1000), times, part, 0, self.clock, name.encode())
        self.memory[4:] = whole[4:]
        self.memory[:4] = whole[:4]

    def met(self):
        """How many calls met the order."""
        return struct.unpack("=I", self.memory[MET])[0]

    def set_clock(self, seconds):
        """Steps the wall clock of the process."""
        self.clock = seconds
        self.order()

    @contextlib.contextmanager
    def faulty(self, **order):
        self.order(**order)
        try:
            yield
        finally:
            self.order()
