"""The two verifiers that users have, over the whole log."""

import shutil
import subprocess

from . import places


class Verifiers:
    def __init__(self, data, out):
        self.data, self.exported, self.kept = data, out / "exported", out / "kept-checkpoint"

    def problems(self, checkpoints):
        """What they say against the log, and against its being the one that `checkpoints` were signed for."""
        problems = said(places.binary("narrows"), "--data-dir", self.data, "audit", "verify")
        shutil.rmtree(self.exported, ignore_errors=True)
        problems += said(places.binary("narrows"), "--data-dir", self.data, "audit", "export", self.exported)
        # The key comes from elsewhere: with the log, it could have been changed as well.
        verify = [places.binary("narrows-verify"), "--key", next(self.data.glob("log/*/key.vkey"))]
        # One from the middle: its signature, and that this log goes on from it.
        if checkpoints:
            self.kept.write_text(checkpoints[len(checkpoints) // 2])
            verify += ["--checkpoint", self.kept]
        problems += said(*verify, self.exported)
        shutil.rmtree(self.exported, ignore_errors=True)
        return problems


def said(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=3600)
    return [] if done.returncode == 0 else [f"exit {done.returncode}: {done.stdout.strip()} {done.stderr.strip()}"]
