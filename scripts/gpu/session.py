"""What every step has: the program, the devices, the time that is left, and processes that do not outlive it."""

import contextlib
import csv
import ctypes.util
import datetime
import hashlib
import importlib.metadata
import importlib.util
import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts/bench"))

from peer import git_commit, processor  # noqa: E402, it is beside the other comparisons


class TooLong(Exception):
    """A part of a step was not done in its time."""


class Session:
    def __init__(self, args, work):
        self.out, self.speedlab, self.devices, self.small = args.out, args.speedlab, args.devices, args.small
        # For what a step makes and nobody needs afterwards.
        self.work = work
        # For the program alone: PyTorch has libraries of its own.
        self.environment = cuda_libraries()
        self.deadline = time.monotonic()
        self.provenance = dict(
            date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            # As speedlab's own records name a build.
            build=hashlib.sha256(self.speedlab.read_bytes()).hexdigest()[:12],
            commit=args.commit or known(git_commit),
            cards=known(lambda: nvidia_smi("gpu", ["name", "driver_version"])) or [],
            torch=known(lambda: importlib.metadata.version("torch")),
            processor=processor(),
            cores=os.cpu_count(),
        )

    def left(self):
        """Seconds of the step."""
        return max(0.0, self.deadline - time.monotonic())

    def run(self, arguments, name, limit, watch=lambda process_id: None):
        """Exit code, standard output and the last lines of standard error; `watch` is called meanwhile.

        Raises TooLong, with those lines, after `limit` seconds or when the step's time is over."""
        said, errors = (self.work / f"{file_name(name)}.{kind}" for kind in ("stdout", "stderr"))
        seconds = min(limit, self.left())
        end = time.monotonic() + seconds
        with said.open("w") as said_file, errors.open("w") as errors_file:
            process = subprocess.Popen(
                [self.speedlab, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said_file,
                stderr=errors_file,
                env=os.environ | self.environment,
                cwd=ROOT,
            )
            try:
                while process.poll() is None:
                    if time.monotonic() > end:
                        raise TooLong(f"{name}: stopped after {seconds:.0f} s\n{tail(errors)}".strip())
                    watch(process.pid)
                    time.sleep(0.1)
            finally:
                stop(process)
        return process.returncode, said.read_text(errors="replace"), tail(errors)


def known(ask):
    """What `ask` says; None where the machine cannot say, and the summary then shows that."""
    try:
        return ask()
    except (OSError, RuntimeError, subprocess.SubprocessError, importlib.metadata.PackageNotFoundError):
        return None


@contextlib.contextmanager
def limited(seconds, what):
    """Raises TooLong in the middle of what takes longer."""

    def ring(*_):
        raise TooLong(f"{what} took longer than the {seconds:.0f} s that were left for it")

    if seconds <= 0:
        ring()
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def stop(process):
    """Ends it and all that it started: asked first, so that runs leave their records whole, then killed."""
    if process.poll() is not None:
        return
    started = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    if process.poll() is None:
        started += descendants(process.pid)
        process.kill()
        process.wait()
    for process_id in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGKILL)


def descendants(ancestor):
    children = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        # Processes end while they are looked at.
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found, waiting = [], [ancestor]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def nvidia_smi(what, fields, card=None):
    """A dictionary for each row of `nvidia-smi --query-WHAT`, which only asks. Raises OSError where there is none."""
    command = ["nvidia-smi", f"--query-{what}={','.join(fields)}", "--format=csv,noheader,nounits"]
    command += [] if card is None else [f"--id={card}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise RuntimeError(f"nvidia-smi: {(done.stdout + done.stderr).strip()}")
    rows = csv.reader(done.stdout.splitlines(), skipinitialspace=True)
    return [dict(zip(fields, row)) for row in rows if row]


def cuda_libraries():
    """Variables that show the program NVIDIA's kernel compiler (libnvrtc) and its headers, where the system's loader does not
    know them but a toolkit's folder or the packages of this Python have them."""
    packages = importlib.util.find_spec("nvidia")
    folders = [pathlib.Path(folder) for folder in (packages.submodule_search_locations or [])] if packages else []
    roots = [pathlib.Path(root) for root in ("/usr/local/cuda", "/opt/cuda", "/usr")]
    if "CUDA_PATH" in os.environ:
        roots.insert(0, pathlib.Path(os.environ["CUDA_PATH"]))
    roots += [root for folder in folders for root in sorted(folder.iterdir()) if root.is_dir()]
    variables = {}
    if ctypes.util.find_library("nvrtc") is None:
        libraries = [folder for root in roots for folder in (root / "lib64", root / "lib") if any(folder.glob("libnvrtc.so*"))]
        if libraries:
            before = os.environ.get("LD_LIBRARY_PATH")
            variables["LD_LIBRARY_PATH"] = f"{libraries[0]}:{before}" if before else str(libraries[0])
    if "CUDA_PATH" not in os.environ:
        with_headers = [root for root in roots if (root / "include/cuda_fp16.h").exists()]
        if with_headers:
            variables["CUDA_PATH"] = str(with_headers[0])
    return variables


def file_name(text):
    return "".join(letter if letter.isalnum() else "-" for letter in text)


def tail(path, lines=12):
    """The last lines, which say why something failed; none where nothing was started."""
    if not path.exists():
        return ""
    last = path.read_text(errors="replace").strip().splitlines()[-lines:]
    return "\n".join(line[:300] for line in last)
