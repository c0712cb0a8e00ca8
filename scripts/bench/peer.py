"""What every comparison with another program needs: live competitors that wait for their turn, and what was measured where."""

import json
import os
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Process:
    """A competitor that says in a line of JSON that it is ready, then answers each line that it is given with another."""

    def __init__(self, command, environment, **options):
        self.command = command
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
            cwd=ROOT,
            **options,
        )
        try:
            self.head = self.answer()
        except BaseException:
            self.kill()
            raise

    def start(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: {' '.join(self.command)} ended with {self.process.wait()}")
        return json.loads(line)

    def round(self):
        self.start()
        return self.answer()

    def end(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            sys.exit(f"error: {' '.join(self.command)} ended with {self.process.returncode}")

    def kill(self):
        self.process.kill()
        self.process.wait()


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return " ".join(line.split(":", 1)[1].split())
    return platform.machine()


def output(command):
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()


def git_commit():
    changes = output(["git", "status", "--porcelain", "--untracked-files=no"])
    return output(["git", "rev-parse", "HEAD"]) + (", with changes" if changes else "")
