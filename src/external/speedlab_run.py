"""What a training program says to Speedlab. One file, no dependencies, Python 3.9 or later.

    import speedlab_run

    run = speedlab_run.start(params={"width": 64}, steps=2000)
    step = load(run.checkpoints)              # 0 where there is no checkpoint yet
    run.begin(step)
    while step < run.steps:
        loss = train_step(run.params["width"])
        step += 1
        run.progress(step, loss=loss)
        if step % 100 == 0:
            with run.evaluating():
                run.measure(step, fid=evaluate())
        if run.should_checkpoint() or run.should_stop():
            with run.saving():
                save(run.checkpoints, step)
            run.checkpointed(step)
        if run.should_stop():
            break
    run.end()

Without Speedlab around it, everything is printed, `params` are those given to `start`, and checkpoints lie in the folder
`checkpoints`. The lines that Speedlab hears are described in results/README.md of Speedlab.
"""

import contextlib
import json
import math
import os
import pathlib
import signal
import sys
import threading
import time

PROTOCOL = 1


def start(params=None, seed=0, steps=1000, batch_size=1):
    """What Speedlab asks for; where there is no Speedlab, what is given here. Call it once, in the main process."""
    return Run(params or {}, seed, steps, batch_size)


class Run:
    def __init__(self, params, seed, steps, batch_size):
        path = os.environ.get("SPEEDLAB_RUN")
        self._events = None
        self._stop = threading.Event()
        self._announced = []
        self._begun = False
        self._step = 0
        self._answers = threading.Condition()
        self._answered = []
        self._gone = False
        self._last = None
        self._off = 0  # how many blocks have stopped the clock
        self._train_seconds = self._eval_seconds = 0.0
        self._since = None  # the training clock runs since then
        self._saved_at = time.monotonic()
        if path:
            with open(path, encoding="utf-8") as file:
                asked = json.load(file)
            if asked["protocol"] != PROTOCOL:
                raise SystemExit(
                    f"this speedlab_run.py speaks protocol {PROTOCOL} and Speedlab {asked['protocol']}: "
                    "write it anew with `speedlab trainer --python > speedlab_run.py`"
                )
            unknown = sorted(set(params) - set(asked["params"])) if asked["params"] else []
            if unknown:
                print(f"note: the sweep's `params` do not set {', '.join(unknown)}", file=sys.stderr)
            self.params = {**params, **asked["params"]}
            self.spec = asked["spec"]
            self.seed = asked["seed"]
            self.steps = self.spec["train"]["steps"]
            self.batch_size = self.spec["train"]["batch_size"]
            self.checkpoint_seconds = self.spec["train"]["checkpoint_seconds"]
            self.device = asked["device"]
            self.threads = asked["threads"]
            self.checkpoints = pathlib.Path(asked["checkpoints"])
            self.output = pathlib.Path(asked["output"])
            self._announced = asked["announced"]
            self.micro_batches = asked["micro_batches"]
            self._events = open(asked["events"], "w", encoding="utf-8", buffering=1)
            self._last = asked.get("last")
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, lambda *_: self._stop.set())
                if hasattr(os, "register_at_fork"):
                    # What this program starts ends when it is told to.
                    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
            threading.Thread(target=self._listen, daemon=True).start()
        else:
            self.params, self.spec, self.seed, self.steps, self.batch_size = dict(params), None, seed, steps, batch_size
            self.checkpoint_seconds = 30.0
            self.device, self.threads = os.environ.get("SPEEDLAB_DEVICE", "cpu"), os.cpu_count() or 1
            self.checkpoints, self.output = pathlib.Path("checkpoints"), pathlib.Path(".")
            self.checkpoints.mkdir(exist_ok=True)
            self.micro_batches = 1

    @property
    def has_speedlab(self):
        return self._events is not None

    def begin(self, from_step=0, device=None):
        """Training begins, or goes on from the checkpoint of `from_step`. `device` names the hardware for the record."""
        if from_step:
            known = [stamp for stamp in self._announced if stamp["step"] == from_step] or [self._last]
            if known[-1]:
                self._train_seconds, self._eval_seconds = known[-1]["train_seconds"], known[-1]["eval_seconds"]
        self._begun = True
        self._step = from_step
        said = {"from_step": from_step, "seed": self.seed}
        if device:
            said["device"] = str(device)
        self._say("started", **said)
        if self._off == 0:
            self._since = time.monotonic()

    def progress(self, step, loss=None, **more):
        """After every step, or every few. `more`: gradient_norm, learning_rate, beta1, images_seen."""
        self._stamped("progress", step, loss=loss, **more)

    def measure(self, step, protocol="", images_seen=None, **measures):
        """Values by name, such as `fid=3.2`. `protocol`: how they were measured; values of two protocols are not compared."""
        self._stamped("measured", step, images_seen=images_seen, protocol=protocol, measures=measures)

    def samples(self, step, path, images_seen=None, as_asked=False):
        """Has Speedlab measure generated images by the sweep's own protocol, and waits for it: a folder of pictures, or an .npz
        whose first array is (n, height, width, channels) of bytes, or of f32 in [-1, 1]. Returns the values by name; {} without
        Speedlab. `as_asked`: the images come from the sweep's own ODE sampler, noise and weights. Ends the program if Speedlab is gone."""
        with self.evaluating():
            self._stamped("samples", step, images_seen=images_seen, path=os.path.abspath(path), as_asked=as_asked)
            if not self.has_speedlab:
                return {}
            with self._answers:
                while True:
                    for answer in self._answered:
                        if answer["step"] == step:
                            self._answered.remove(answer)
                            return answer["measures"]
                    if self._gone:
                        # A checkpoint from here on would lose this evaluation.
                        raise SystemExit("Speedlab is gone")
                    self._answers.wait(timeout=0.5)

    @contextlib.contextmanager
    def evaluating(self):
        """Stops the clock of training while quality is measured."""
        began, is_outer = time.monotonic(), self._off == 0
        try:
            with self.saving():
                yield
        finally:
            if is_outer and self._begun:
                self._eval_seconds += time.monotonic() - began

    @contextlib.contextmanager
    def saving(self):
        """Stops the clock of training while a checkpoint is written, or anything else is done that is no training."""
        if self._off == 0 and self._since is not None:
            self._train_seconds += time.monotonic() - self._since
            self._since = None
        self._off += 1
        try:
            yield
        finally:
            self._off -= 1
            if self._off == 0 and self._begun:
                self._since = time.monotonic()

    def checkpointed(self, step, images_seen=None):
        """A checkpoint of `step` lies whole in `checkpoints`: say it right after the file has its final name."""
        self._saved_at = time.monotonic()
        self._stamped("checkpointed", step, images_seen=images_seen)

    def should_checkpoint(self):
        """Whether `train.checkpoint_seconds` have gone by since the last one."""
        return time.monotonic() - self._saved_at >= self.checkpoint_seconds

    def should_stop(self):
        """Whether to write a checkpoint, call `end` and leave."""
        return self._stop.is_set()

    def end(self, outcome=None, reason=""):
        """`completed`, `diverged` or `interrupted`; by default as the steps and `should_stop` have it."""
        if outcome is None:
            outcome = "completed" if self._step >= self.steps else "interrupted"
        self._say("ended", outcome=outcome, reason=reason)

    def _clock(self):
        running = 0.0 if self._since is None else time.monotonic() - self._since
        return self._train_seconds + running

    def _stamped(self, event, step, images_seen=None, **more):
        if not self._begun:
            self.begin(0)
        self._step = step = int(step)
        if images_seen is None:
            images_seen = step * self.batch_size
        self._say(
            event,
            step=step,
            images_seen=int(images_seen),
            train_seconds=self._clock(),
            eval_seconds=self._eval_seconds,
            **{key: value for key, value in more.items() if value is not None},
        )

    def _say(self, event, **more):
        line = json.dumps({"event": event, **plain(more)}, allow_nan=False)
        if self._events is None:
            print(line, flush=True)
            return
        try:
            self._events.write(line + "\n")
        except OSError:  # nobody listens any more
            self._stop.set()

    def _listen(self):
        # Not through sys.stdin: its lock would be held for ever in every process that is forked.
        for line in open(os.dup(0), "rb", buffering=0):
            try:
                answer = json.loads(line)
            except ValueError:
                continue
            if answer.get("event") == "stop":
                self._stop.set()
            elif answer.get("event") == "measured":
                with self._answers:
                    self._answered.append(answer)
                    self._answers.notify_all()
        self._gone = True
        self._stop.set()
        with self._answers:
            self._answers.notify_all()


def plain(value):
    """Numbers of other libraries as Python's, and numbers that JSON does not know as words."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, (bool, int)) or value is None:
        return value
    value = float(value)
    return value if math.isfinite(value) else str(value)
