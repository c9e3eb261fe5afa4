"""`calvaria evaluate` on folders of masks, against MONAI (whose distances are SciPy's) on the same files and cores.

    python evaluate.py PROGRAM [--pairs 100] [--processes 2]

Masks of a brain's size in 256x256x256 voxels, gzipped, read from disk by both (nibabel). MONAI computes the six metrics
that both have, in as many processes as there are cores, with a thread each; calvaria computes all of its own. Prints both
wall times, their ratio, and how far the means of the two are apart.
"""
import argparse
import json
import os
import subprocess
import tempfile
import time
from multiprocessing import Pool

import nibabel
import numpy as np

SIDE, SPACING = 256, (1.0, 1.0, 1.2)
METRICS = ("iou", "dice", "hausdorff", "hd95", "assd", "nsd")


def ball(radius, waves, random):
    x, y, z = (axis - SIDE / 2 + shift for axis, shift in zip(np.ogrid[:SIDE, :SIDE, :SIDE], random.normal(0, 1, 3)))
    rough = np.sin(x / waves) + np.cos(y / waves) + np.sin(z / waves)
    return np.sqrt(x * x + y * y + z * z) < radius + 3.0 * rough


def write(folder, count):
    random = np.random.default_rng(7)
    for at in range(count):
        radius = random.uniform(65, 80)
        for side, waves, more in (("predicted", 9.0, 0.0), ("true", 11.0, 2.0)):
            mask = ball(radius + more, waves, random).astype(np.uint8)
            os.makedirs(os.path.join(folder, side), exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(mask, np.diag([*SPACING, 1.0])), os.path.join(folder, side, f"case-{at:03}.nii.gz"))


def scores(pair):
    import torch
    from monai.metrics import (compute_average_surface_distance, compute_dice, compute_hausdorff_distance, compute_iou,
                               compute_surface_dice)
    torch.set_num_threads(1)
    p, t = (torch.from_numpy(np.asarray(nibabel.load(path).dataobj).astype(np.float32))[None, None] for path in pair)
    kw = dict(include_background=True, spacing=list(SPACING))
    values = (compute_iou(p, t), compute_dice(p, t), compute_hausdorff_distance(p, t, **kw),
              compute_hausdorff_distance(p, t, percentile=95, **kw), compute_average_surface_distance(p, t, symmetric=True, **kw),
              compute_surface_dice(p, t, class_thresholds=[2.0], **kw))
    return [float(value) for value in values]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(folder, a.pairs)
        sides = [os.path.join(folder, side) for side in ("predicted", "true")]
        table = os.path.join(folder, "scores.json")
        started = time.perf_counter()
        subprocess.run([a.program, "evaluate", *sides, "--json", table], check=True, stdout=subprocess.DEVNULL)
        ours = time.perf_counter() - started
        names = sorted(os.listdir(sides[0]))
        pairs = [tuple(os.path.join(side, name) for side in sides) for name in names]
        with Pool(a.processes) as pool:
            # What it takes to import is not counted.
            pool.map(scores, pairs[:a.processes], chunksize=1)
            started = time.perf_counter()
            values = np.array(pool.map(scores, pairs, chunksize=1))
            theirs = time.perf_counter() - started
        with open(table) as file:
            told = json.load(file)
    means = dict(zip(METRICS, values.mean(0)))
    own = {mean["metric"]: mean["mean"] for mean in told["means"][0]["means"]}
    apart = {name: abs(own[name] - mean) / abs(mean) for name, mean in means.items()}
    print(json.dumps({"pairs": a.pairs, "calvaria_s": round(ours, 2), "monai_s": round(theirs, 2), "ratio": round(theirs / ours, 2),
                      "means_apart_at_most": max(apart.values()), "where": max(apart, key=apart.get)}))


if __name__ == "__main__":
    main()
