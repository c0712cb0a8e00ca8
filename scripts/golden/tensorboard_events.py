"""Event files as the package tensorboard writes them, with the scalars in them: tests/golden/tensorboard.

    pip install tensorboard numpy && python scripts/golden/tensorboard_events.py
"""

import json
import pathlib
import shutil

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.util.tensor_util import make_tensor_proto

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/tensorboard"


def record(event):
    data = event.SerializeToString()
    length = np.array(len(data), "<u8").tobytes()
    sums = [np.array(masked_crc32c(part), "<u4").tobytes() for part in (length, data)]
    return length + sums[0] + data + sums[1]


def simple(tag, value):
    """As PyTorch's SummaryWriter and TensorFlow 1 write a scalar."""
    return Summary.Value(tag=tag, simple_value=value)


def tensor(tag, value, kind):
    """As TensorFlow 2 writes it."""
    return Summary.Value(tag=tag, tensor=make_tensor_proto(np.array(value, kind)))


def other(tag):
    """A histogram or a picture: no scalar."""
    return Summary.Value(tag=tag, tensor=make_tensor_proto(np.zeros((3, 2), np.float32)), metadata=image_metadata.create_summary_metadata("", ""))


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    known = {}
    for run, scale, form in [("baseline/seed0", 1.0, 0), ("fast/seed1", 0.5, 1)]:
        folder = FOLDER / run
        folder.mkdir(parents=True)
        scalars, content = [], record(Event(wall_time=1.7e9, file_version="brain.Event:2"))
        for index, step in enumerate([0, 100, 250, 70_000]):
            wall_time = 1.7e9 + 2.5 * (index + 1)
            value = scale * 40.0 / (1 + step)
            values = [simple("eval/fid", value)] if form == 0 else [other("images"), tensor("eval/fid", value, np.float32)]
            if form == 1:
                values.append(tensor("loss", value / 7, np.float64))
            content += record(Event(wall_time=wall_time, step=step, summary=Summary(value=values)))
            scalars.append({"tag": "eval/fid", "step": step, "wall_time": wall_time, "value": float(np.float32(value))})
            if form == 1:
                scalars.append({"tag": "loss", "step": step, "wall_time": wall_time, "value": value / 7})
        (folder / "events.out.tfevents.1700000000.host").write_bytes(content)
        known[run] = scalars
    (FOLDER / "scalars.json").write_text(json.dumps(known, indent=1) + "\n")

    # What was written is what the package itself reads.
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    for run, scalars in known.items():
        events = list(EventFileLoader(str(FOLDER / run / "events.out.tfevents.1700000000.host")).Load())
        assert len(events) == 5, events


main()
