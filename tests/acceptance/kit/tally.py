"""Counts what passed, what failed and what could not be run, and says so. A part
that ends without writing its tally has failed."""

import json
import os
import sys


class Tally:
    def __init__(self, directory):
        self.file = directory / "tally.json"
        self.file.unlink(missing_ok=True)
        self.passed = self.failed = 0
        self.not_run = []

    def check(self, name, problems):
        """One test: it passed if there are no problems."""
        problems = [problems] if isinstance(problems, str) else list(problems or [])
        if problems:
            self.failed += 1
            print(f"FAIL  {name}")
            for problem in problems:
                print(f"      {problem}")
        else:
            self.passed += 1
        return not problems

    def cannot_run(self, what, why):
        self.not_run.append(what)
        print(f"NOT RUN  {what}: {why}", file=sys.stderr)

    def close(self):
        self.file.write_text(json.dumps({"passed": self.passed, "failed": self.failed, "notRun": self.not_run}))
        print(f"{self.passed} passed, {self.failed} failed, {len(self.not_run)} not run")
        sys.exit(1 if self.failed or (self.not_run and os.environ.get("CI")) else 0)


def table(heading, rows):
    """Prints rows of text in columns."""
    widths = [max(len(str(row[column])) for row in [heading, *rows]) for column in range(len(heading))]
    for row in [heading, ["-" * width for width in widths], *rows]:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())
    print()
