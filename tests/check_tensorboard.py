"""Prints what TensorBoard itself reads from a folder of event files, as JSON.

usage: check_tensorboard.py FOLDER. Exits with 77 where the package `tensorboard` is missing.
"""

import json
import math
import struct
import sys

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
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


tags = events.Tags()
json.dump(
    {
        "scalars": {
            tag: [[e.step, number(e.value), e.wall_time] for e in events.Scalars(tag)]
            for tag in tags["scalars"]
        },
        "images": {tag: [picture(e) for e in events.Images(tag)] for tag in tags["images"]},
    },
    sys.stdout,
)
