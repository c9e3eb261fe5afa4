"""Patches a second of 64x64x64 voxels from cases of 192x192x192, with flips and affine movements: calvaria against TorchIO.

    python loader.py BENCH [BEFORE]

BENCH is the program of `cargo bench --bench loader --no-run`, BEFORE that of another version.  calvaria takes patches from
its cached cases.  TorchIO takes them from the same scans (int16) by `Queue` over `SubjectsDataset` with `UniformSampler`,
from .nii and from .nii.gz, with copy=False.  Both have two threads; workers are threads of calvaria and processes of
TorchIO.  The programs run in turn, ROUNDS times in both orders, and the median counts.  The table goes to standard output
and into ../README.md between its markers.
"""
import datetime
import gzip
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
THREADS, ROUNDS, CASES, EPOCHS, BATCH = 2, 2, 8, 2, 2
SETTINGS = [(0, 1), (2, 1), (2, 4)]  # workers, patches a case


def scans(folder, ending):
    """The scans that calvaria's bench left, each with its mask."""
    names = [f"case-{index:02}" for index in range(CASES)]
    pairs = [[os.path.join(folder, name + part + ".nii") for part in ("", "_mask")] for name in names]
    if ending == ".nii":
        return pairs
    for path in sum(pairs, []):
        if not os.path.exists(path + ".gz"):
            with open(path, "rb") as plain, gzip.open(path + ".gz", "wb", compresslevel=6) as packed:
                shutil.copyfileobj(plain, packed)
    return [[path + ".gz" for path in pair] for pair in pairs]


def theirs(folder, ending, workers, samples):
    """TorchIO's patches a second, in its fastest epoch."""
    import SimpleITK as sitk
    import torch
    import torchio as tio

    torch.set_num_threads(THREADS)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(THREADS)
    subjects = [tio.Subject(image=tio.ScalarImage(image), mask=tio.LabelMap(mask)) for image, mask in scans(folder, ending)]
    transform = tio.Compose([
        tio.RandomFlip(axes=(0,), flip_probability=0.5, copy=False),
        tio.RandomAffine(scales=(0.9, 1.1), degrees=10, translation=5, copy=False)])
    queue = tio.Queue(tio.SubjectsDataset(subjects, transform=transform), max_length=CASES * samples,
                      samples_per_volume=samples, sampler=tio.UniformSampler(64), num_workers=workers)
    loader = tio.SubjectsLoader(queue, batch_size=BATCH, num_workers=0)
    rates = []
    for _ in range(EPOCHS):
        start = time.perf_counter()
        patches = sum(batch["image"]["data"].shape[0] for batch in loader)
        rates.append(patches / (time.perf_counter() - start))
    print(json.dumps({"patches_per_s": max(rates), "torchio": tio.__version__, "torch": torch.__version__,
                      "SimpleITK": sitk.Version().VersionString()}))


def last_line(command):
    env = dict(os.environ, RAYON_NUM_THREADS=str(THREADS))
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def ours(bench, folder, workers, samples, cases=CASES):
    return last_line([bench, str(cases), str(workers), str(samples), folder])


def measure(programs, folder):
    """Of each column and setting, what each round told."""
    columns = dict(programs, **{f"TorchIO, {ending}": ending for ending in (".nii.gz", ".nii")})
    told = {}
    for turn in range(ROUNDS):
        for name in list(columns) if turn % 2 == 0 else list(columns)[::-1]:
            for setting in SETTINGS:
                if name in programs:
                    one = ours(programs[name], os.path.join(folder, name), *setting)
                else:
                    arguments = [os.path.join(folder, "calvaria"), columns[name], *map(str, setting)]
                    one = last_line([sys.executable, __file__, "--peer", *arguments])
                told.setdefault((name, setting), []).append(one)
                print(name, setting, one, file=sys.stderr, flush=True)
    return list(columns), told


def main(bench, before=None):
    programs = {"calvaria": bench, **({"before": before} if before else {})}
    with tempfile.TemporaryDirectory() as folder:
        for name in programs:
            # Makes the cases.
            os.mkdir(os.path.join(folder, name))
            ours(programs[name], os.path.join(folder, name), 2, 1)
        columns, told = measure(programs, folder)
        peaks = {name: [ours(programs[name], os.path.join(folder, name), 2, 1, cases)["peak_mib"] for cases in (4, 32)]
                 for name in programs}
    rows = []
    for workers, samples in SETTINGS:
        rates = [statistics.median(one["patches_per_s"] for one in told[name, (workers, samples)]) for name in columns]
        ratios = [f"{rate:.1f}" + (f" ({rates[0] / rate:.1f})" if at else "") for at, rate in enumerate(rates)]
        rows.append(f"| {workers} | {samples} | " + " | ".join(ratios) + " |")
    first = {name: statistics.median(one["first_epoch"] for one in told[name, (2, 1)]) for name in programs}
    peer = told[columns[-1], SETTINGS[0]][0]
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())[1]
    text = "\n".join([
        "| workers | patches a case | " + " | ".join(columns) + " |", "|---" * (2 + len(columns)) + "|", *rows, "",
        "In the first epoch, when each case is checked, with 2 workers and 1 patch a case: "
        + ", ".join(f"{name} {rate:.1f}" for name, rate in first.items()) + ". Peak memory with 4 and with 32 cases, MiB: "
        + ", ".join(f"{name} {few:.0f} and {many:.0f}" for name, (few, many) in peaks.items()) + ".", "",
        f"Medians of {ROUNDS} runs of each program in turn, {THREADS} threads, {os.cpu_count()} cores of {model}, load average "
        f"{os.getloadavg()[1]:.1f}, {platform.system()}, {datetime.date.today()}. TorchIO {peer['torchio']}, torch "
        f"{peer['torch']}, SimpleITK {peer['SimpleITK']}."])
    print(text)
    readme = os.path.join(HERE, "..", "README.md")
    with open(readme) as file:
        old = file.read()
    with open(readme, "w") as file:
        file.write(re.sub(r"(<!-- loader -->\n).*(<!-- /loader -->)", lambda m: m[1] + text + "\n" + m[2], old, flags=re.S))


if __name__ == "__main__":
    if sys.argv[1] == "--peer":
        theirs(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        main(*sys.argv[1:])
