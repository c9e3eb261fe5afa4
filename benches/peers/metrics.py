"""Metrics of `cargo bench --bench metrics`'s masks by MONAI 1.6.1, medpy 0.5.2 and scipy 1.17.1: wall and CPU seconds.

    python metrics.py 75    # a brain's size; 126: masks that fill the image
"""
import sys
import time

import numpy as np
import torch
from medpy.metric import binary as medpy
from monai.metrics import (compute_average_surface_distance, compute_dice, compute_hausdorff_distance, compute_iou,
                           compute_surface_dice)
from scipy import ndimage

SIDE, SPACING = 256, (1.0, 1.0, 1.2)


def ball(radius, waves):
    x, y, z = (axis - SIDE / 2 for axis in np.ogrid[:SIDE, :SIDE, :SIDE])
    rough = np.sin(x / waves) + np.cos(y / waves) + np.sin(z / waves)
    return np.sqrt(x * x + y * y + z * z) < radius + 3.0 * rough


def by_monai(p, t):
    p, t = (torch.from_numpy(x.astype(np.float32))[None, None] for x in (p, t))
    kw = dict(include_background=True, spacing=list(SPACING))
    return {"iou": compute_iou(p, t), "dice": compute_dice(p, t), "hausdorff": compute_hausdorff_distance(p, t, **kw),
            "hd95": compute_hausdorff_distance(p, t, percentile=95, **kw),
            "assd": compute_average_surface_distance(p, t, symmetric=True, **kw),
            "nsd": compute_surface_dice(p, t, class_thresholds=[2.0], **kw)}


def by_medpy(p, t):
    kw = dict(voxelspacing=SPACING)
    return {"iou": medpy.jc(p, t), "dice": medpy.dc(p, t), "hausdorff": medpy.hd(p, t, **kw),
            "hd95 (pooled)": medpy.hd95(p, t, **kw), "assd": medpy.assd(p, t, **kw)}


def by_scipy(p, t):
    a, b = (m & ~ndimage.binary_erosion(m, ndimage.generate_binary_structure(3, 1)) for m in (p, t))
    a, b = (ndimage.distance_transform_edt(~y, sampling=SPACING)[x] for x, y in ((a, b), (b, a)))
    both = np.concatenate([a, b])
    return {"hausdorff": both.max(), "hd95": max(np.percentile(a, 95), np.percentile(b, 95)), "assd": both.mean(),
            "nsd": (both <= 2.0).mean()}


def main():
    torch.set_num_threads(2)
    radius = float(sys.argv[1])
    masks = ball(radius, 9.0), ball(radius + 2.0, 11.0)
    for name, metrics in (("MONAI", by_monai), ("medpy", by_medpy), ("scipy", by_scipy)):
        wall, cpu = time.perf_counter(), time.process_time()
        values = {key: round(float(value), 5) for key, value in metrics(*masks).items()}
        print(f"{name}: {time.perf_counter() - wall:.2f} s, CPU {time.process_time() - cpu:.2f} s", values, flush=True)


if __name__ == "__main__":
    main()
