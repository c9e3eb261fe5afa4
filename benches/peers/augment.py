"""Seconds of single augmentations: calvaria against TorchIO, side by side.

    python augment.py BENCH

BENCH is the program of `cargo bench --bench augment --no-run`.  Image and mask of a head that ships, 96x128x160
voxels, two threads; both programs draw anew each time.  TorchIO runs with copy=False where it can (its faster way).
The programs run in turn, ROUNDS times, and the median of medians counts.  The table goes to standard output and
into ../README.md between its markers.
"""
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
HEAD = os.path.join(HERE, "..", "..", "experiments", "data", "heads", "sub-01")
THREADS, ROUNDS, REPEATS = 2, 3, 7


def transforms(tio):
    """TorchIO's transform for each of calvaria's, and for lists of them ("a + b")."""
    affine = dict(scales=(0.9, 1.1), degrees=10, translation=5)
    elastic = dict(num_control_points=7, max_displacement=7.5)
    both = tio.RandomAffineElasticDeformation
    fast = dict(copy=False)
    return {
        "flip": tio.RandomFlip(axes=(0,), flip_probability=1.0, **fast),
        "shift": tio.RandomAffine(scales=0, degrees=0, translation=10, **fast),
        "affine": tio.RandomAffine(**affine, **fast),
        "elastic": tio.RandomElasticDeformation(**elastic, **fast),
        "crop": tio.CropOrPad(64, **fast),
        "anisotropy": tio.RandomAnisotropy(**fast),
        "affine + elastic": tio.Compose([tio.RandomAffine(**affine, **fast), tio.RandomElasticDeformation(**elastic, **fast)]),
        "affine + elastic, fused by both": both(affine_kwargs=affine, elastic_kwargs=elastic, **fast),
        "elastic + affine": tio.Compose([tio.RandomElasticDeformation(**elastic, **fast), tio.RandomAffine(**affine, **fast)]),
        "bias_field": tio.RandomBiasField(**fast),
        "blur": tio.RandomBlur(std=(0.5, 1.5), **fast),
        "gamma": tio.RandomGamma(log_gamma=(-0.3, 0.3), **fast),
        "noise": tio.RandomNoise(std=(0, 5), **fast),
        "ghosting": tio.RandomGhosting(**fast),
        "spike": tio.RandomSpike(**fast),
        "motion": tio.RandomMotion(**fast),
    }


def theirs():
    """Prints the medians of TorchIO, in seconds."""
    import warnings
    warnings.simplefilter("ignore")
    import SimpleITK as sitk
    import torch
    import torchio as tio
    torch.set_num_threads(THREADS)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(THREADS)
    head = tio.Subject(image=tio.ScalarImage(os.path.join(HEAD, "sub-01_T1w.nii.gz")),
                       mask=tio.LabelMap(os.path.join(HEAD, "sub-01_T1w_brainmask.nii.gz")))
    head = tio.Compose([tio.ToCanonical(), tio.Resample(2), tio.CropOrPad((96, 128, 160))])(head)
    image, mask, affine = head.image.data.float(), head.mask.data, head.image.affine
    medians = {}
    for name, transform in transforms(tio).items():
        seconds = []
        for repeat in range(REPEATS + 1):
            subject = tio.Subject(image=tio.ScalarImage(tensor=image.clone(), affine=affine),
                                  mask=tio.LabelMap(tensor=mask.clone(), affine=affine))
            torch.manual_seed(repeat)
            start = time.perf_counter()
            transform(subject)
            # The first is to warm up.
            seconds += [time.perf_counter() - start] if repeat else []
        medians[name] = statistics.median(seconds)
    print(json.dumps({"medians": medians, "torchio": tio.__version__, "torch": torch.__version__,
                      "SimpleITK": sitk.Version().VersionString()}))


def ours(bench):
    """calvaria's medians, in seconds, as criterion leaves them."""
    medians = {}
    with tempfile.TemporaryDirectory() as folder:
        env = dict(os.environ, RAYON_NUM_THREADS=str(THREADS), CRITERION_HOME=folder)
        subprocess.run([bench, "--bench", "--noplot", "--warm-up-time", "0.3", "--measurement-time", "1"], env=env, check=True,
                       capture_output=True)
        for place, _, files in os.walk(folder):
            if os.path.basename(place) == "new" and "estimates.json" in files:
                with open(os.path.join(place, "benchmark.json")) as file:
                    name = json.load(file)["full_id"]
                with open(os.path.join(place, "estimates.json")) as file:
                    medians[name] = json.load(file)["median"]["point_estimate"] / 1e9
    return medians


def main(bench):
    runs = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        runs["ours"].append(ours(bench))
        done = subprocess.run([sys.executable, __file__, "--peer"], check=True, capture_output=True, text=True)
        peer = json.loads(done.stdout.splitlines()[-1])
        runs["theirs"].append(peer["medians"])
    rows = []
    for name in runs["theirs"][0]:
        own = name.split(",")[0]
        if own not in runs["ours"][0]:
            continue
        a = statistics.median(run[name] for run in runs["theirs"])
        b = statistics.median(run[own] for run in runs["ours"])
        rows.append(f"| {name} | {a:.4f} | {b:.4f} | {a / b:.1f} |")
        print(rows[-1], flush=True)
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())[1]
    text = "\n".join([
        "| transform | TorchIO, s | calvaria, s | ratio |", "|---|---|---|---|", *rows, "",
        f"Median of {ROUNDS} runs of each program in turn, {THREADS} threads, {os.cpu_count()} cores of {model}, load "
        f"average {os.getloadavg()[1]:.1f}, {platform.system()}, {datetime.date.today()}. TorchIO {peer['torchio']}, torch {peer['torch']}, "
        f"SimpleITK {peer['SimpleITK']}."])
    readme = os.path.join(HERE, "..", "README.md")
    with open(readme) as file:
        old = file.read()
    with open(readme, "w") as file:
        file.write(re.sub(r"(<!-- augment -->\n).*(\n<!-- /augment -->)", lambda m: m[1] + text + m[2], old, flags=re.S))


if __name__ == "__main__":
    if sys.argv[1] == "--peer":
        theirs()
    else:
        main(sys.argv[1])
