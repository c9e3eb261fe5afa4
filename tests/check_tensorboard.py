"""Prints what TensorBoard itself reads from a folder of event files, as JSON.

usage: check_tensorboard.py FOLDER. Exits with 77 where the package `tensorboard` is missing.
"""

import json
import math
import struct
import sys

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata as hparams
    from tensorboard.util import tensor_util
except ImportError:
    sys.exit(77)

events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "images": 0})
events.Reload()


def number(value):
    return value if math.isfinite(value) else str(value)


def picture(event):
    data = event.encoded_image_string
    assert data[:8] == b"\x89PNG\r\n\x1a\n", "not a PNG"
    width, height = struct.unpack(">II", data[16:24])
    return {
        "step": event.step,
        "size": [event.width, event.height],
        "png_size": [width, height],
        "png": data.hex(),
    }


def session(tag, parse, fields):
    """What the table of hyperparameters would show; None where the tag was not written."""
    if tag not in events.Tags()["tensors"]:
        return None
    info = parse(events.SummaryMetadata(tag).plugin_data.content)
    return {field: getattr(info, field) for field in fields}


def start():
    info = session(
        hparams.SESSION_START_INFO_TAG,
        hparams.parse_session_start_info_plugin_data,
        ["group_name", "start_time_secs", "hparams"],
    )
    if info:
        values = info["hparams"]
        info["hparams"] = {k: getattr(v, v.WhichOneof("kind")) for k, v in values.items()}
    return info


def texts(tag):
    arrays = [tensor_util.make_ndarray(e.tensor_proto) for e in events.Tensors(tag)]
    return [array.item().decode() for array in arrays]


tags = events.Tags()
json.dump(
    {
        "scalars": {
            tag: [[e.step, number(e.value), e.wall_time] for e in events.Scalars(tag)]
            for tag in tags["scalars"]
        },
        "images": {tag: [picture(e) for e in events.Images(tag)] for tag in tags["images"]},
        "session_start": start(),
        "session_end": session(
            hparams.SESSION_END_INFO_TAG,
            hparams.parse_session_end_info_plugin_data,
            ["status", "end_time_secs"],
        ),
        "texts": {
            tag: texts(tag)
            for tag in tags["tensors"]
            if events.SummaryMetadata(tag).plugin_data.plugin_name == "text"
        },
    },
    sys.stdout,
)
