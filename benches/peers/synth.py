"""Seconds of a synthetic scan made from a map of labels: calvaria against TorchIO, side by side.

    python synth.py BENCH

BENCH is the program of `cargo bench --bench synth --no-run`.  The first of the maps that ship, on 104x128x128 voxels of 2 mm, two
threads; both programs draw anew each time.  TorchIO does what configs/synth/heads.yaml asks for as far as it has it: flip, affine and
elastic deformation (fused, its faster way), RandomLabelsToImage with a mean and a deviation for each label, and its blur, anisotropy,
bias field, gamma, ghosting, spike and noise, as likely as there.  It has no tissues in parts, no grain, no field of view, no face that
is taken away, and its noise is Gaussian.  The programs run in turn, ROUNDS times, and the median of medians counts.  The table goes to
standard output and into ../README.md between its markers.
"""
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time

from augment import ours

HERE = os.path.dirname(os.path.abspath(__file__))
MAP = os.path.join(HERE, "..", "..", "experiments", "data", "labelmaps", "head-01_dseg.nii.gz")
THREADS, ROUNDS, REPEATS = 2, 3, 9
SHAPE = (104, 128, 128)


def chain(tio, labels):
    fast = dict(copy=False)
    moves = tio.RandomAffineElasticDeformation(
        affine_kwargs=dict(scales=(0.85, 1.15), degrees=20, translation=5, default_pad_label=0),
        elastic_kwargs=dict(num_control_points=7, max_displacement=7.5), **fast)
    return tio.Compose([
        tio.RandomFlip(axes=(0,), flip_probability=0.5, **fast), moves,
        tio.RandomLabelsToImage(label_key="labels", image_key="image", used_labels=labels, default_mean=(0, 1),
                                default_std=(0, 0.07), **fast),
        tio.RandomBlur(std=(0, 2), p=0.5, **fast), tio.RandomAnisotropy(downsampling=(1.5, 3.5), p=0.3, **fast),
        tio.RandomBiasField(p=0.7, **fast), tio.RandomGamma(p=0.5, **fast), tio.RandomGhosting(p=0.1, **fast),
        tio.RandomSpike(p=0.05, **fast), tio.RandomNoise(std=(0, 0.05), p=0.8, **fast)])


def theirs():
    """Prints the median of TorchIO, in seconds."""
    import warnings
    warnings.simplefilter("ignore")
    import SimpleITK as sitk
    import torch
    import torchio as tio
    torch.set_num_threads(THREADS)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(THREADS)
    labels = tio.Compose([tio.ToCanonical(), tio.CropOrPad(SHAPE)])(tio.LabelMap(MAP))
    data, affine = labels.data, labels.affine
    transform = chain(tio, [int(value) for value in data.unique()])
    seconds = []
    for repeat in range(REPEATS + 1):
        subject = tio.Subject(labels=tio.LabelMap(tensor=data.clone(), affine=affine))
        torch.manual_seed(repeat)
        start = time.perf_counter()
        made = transform(subject)
        # The first is to warm up.
        seconds += [time.perf_counter() - start] if repeat else []
        assert made.image.shape == (1, *SHAPE)
    print(json.dumps({"median": statistics.median(seconds), "torchio": tio.__version__, "torch": torch.__version__}))


def main(bench):
    runs = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        runs["ours"].append(ours(bench)["scan"])
        done = subprocess.run([sys.executable, __file__, "--peer"], check=True, capture_output=True, text=True)
        peer = json.loads(done.stdout.splitlines()[-1])
        runs["theirs"].append(peer["median"])
    a, b = (statistics.median(runs[name]) for name in ("theirs", "ours"))
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())[1]
    text = "\n".join([
        "| | TorchIO, s | calvaria, s | ratio |", "|---|---|---|---|", f"| a scan with its mask | {a:.3f} | {b:.3f} | {a / b:.1f} |", "",
        f"Median of {ROUNDS} runs of each program in turn, {THREADS} threads, {os.cpu_count()} cores of {model}, load "
        f"average {os.getloadavg()[1]:.1f}, {platform.system()}, {datetime.date.today()}. TorchIO {peer['torchio']}, torch {peer['torch']}."])
    print(text)
    readme = os.path.join(HERE, "..", "README.md")
    with open(readme) as file:
        old = file.read()
    new = re.sub(r"(<!-- synth -->\n).*?(<!-- /synth -->)", lambda m: m[1] + text + "\n" + m[2], old, flags=re.S)
    with open(readme, "w") as file:
        file.write(new)


if __name__ == "__main__":
    theirs() if sys.argv[1] == "--peer" else main(sys.argv[1])
