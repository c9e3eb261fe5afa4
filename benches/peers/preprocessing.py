"""Differences and times of calvaria's preprocessing against SimpleITK, nilearn and nibabel.

    python preprocessing.py PROGRAM [HEAD.nii.gz ...]

Every measurement runs in a process of its own, peers and calvaria in turn, and the quickest of REPEATS
counts; times are of the step alone (without starting Python or reading the file), memory is the
process' peak.  The table goes to standard output and into ../README.md between its markers.
"""
import datetime
import os
import platform
import re
import subprocess
import sys
import tempfile
import time

import nibabel as nib
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
REPEATS = 3
THREADS = (1, 2)
FIXTURES = os.path.join(HERE, "..", "..", "tests", "fixtures", "n4")
ITERATIONS = [20, 10, 10, 5]
GRID = {"world": np.array([96, 128, 160]), "spacing": 2.0}


# ---- the peers, each called in a process of its own: peer_NAME(threads, input, output) -> seconds

def peer_n4(threads, source, output):
    import SimpleITK as sitk
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    img = sitk.ReadImage(source, sitk.sitkFloat32)
    start = time.perf_counter()
    f = sitk.N4BiasFieldCorrectionImageFilter()
    f.SetMaximumNumberOfIterations(ITERATIONS)
    f.SetConvergenceThreshold(0.0)
    f.Execute(sitk.Shrink(img, [3] * 3))
    field = f.GetLogBiasFieldAsImage(img)
    img / sitk.Exp(field)
    seconds = time.perf_counter() - start
    sitk.WriteImage(field, output)
    return seconds


def resampled(interpolation, source, output):
    import warnings
    from nilearn.image import resample_img
    warnings.simplefilter("ignore")
    img = nib.load(source)
    img = nib.Nifti1Image(np.asarray(img.dataobj, dtype=np.float32), img.affine)
    affine = np.diag([GRID["spacing"]] * 3 + [1.0])
    affine[:3, 3] = -GRID["world"] * GRID["spacing"] / 2
    start = time.perf_counter()
    out = resample_img(img, target_affine=affine, target_shape=tuple(GRID["world"]), interpolation=interpolation,
                       force_resample=True, copy_header=True)
    np.asarray(out.dataobj)
    seconds = time.perf_counter() - start
    nib.save(out, output)
    return seconds


def peer_nearest(threads, source, output):
    return resampled("nearest", source, output)


def peer_linear(threads, source, output):
    return resampled("linear", source, output)


def peer_cubic(threads, source, output):
    return resampled("continuous", source, output)


def peer_rescale(threads, source, output):
    import SimpleITK as sitk
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    img = sitk.ReadImage(source, sitk.sitkFloat32)
    start = time.perf_counter()
    out = sitk.RescaleIntensity(img, 0, 255)
    seconds = time.perf_counter() - start
    sitk.WriteImage(out, output)
    return seconds


def from_numpy(change, source, output):
    img = nib.load(source)
    a = np.asarray(img.dataobj, dtype=np.float32)
    start = time.perf_counter()
    out = change(a)
    seconds = time.perf_counter() - start
    nib.save(nib.Nifti1Image(out.astype(np.float32), img.affine), output)
    return seconds


def peer_zscore(threads, source, output):
    return from_numpy(lambda a: (a - a.mean(dtype=np.float64)) / a.std(dtype=np.float64), source, output)


def peer_clip(threads, source, output):
    return from_numpy(lambda a: np.clip(a, *np.percentile(a, [0.5, 99.5])), source, output)


def peer_read(threads, source, output):
    start = time.perf_counter()
    a = np.asarray(nib.load(source).dataobj, dtype=np.float32)
    seconds = time.perf_counter() - start
    nib.save(nib.Nifti1Image(a, np.eye(4)), output)
    return seconds


# What is compared: the peer's name, the step in YAML, and the word under which calvaria prints its time.
COMPARED = {
    "n4": ("SimpleITK", "{n4: {convergence_threshold: 0}}", "n4"),
    "nearest": ("nilearn", "{resample: {interpolation: nearest}}", "resample"),
    "linear": ("nilearn", "{resample: {interpolation: linear}}", "resample"),
    "cubic": ("nilearn", "{resample: {interpolation: cubic}}", "resample"),
    "rescale": ("SimpleITK", "rescale", "rescale"),
    "zscore": ("numpy", "zscore", "zscore"),
    "clip": ("numpy", "clip", "clip"),
    "read": ("nibabel", "[]", "read"),
}


# Runs a command from a small process: what a child inherits from a large parent would count as its peak.
PEAK = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def measured(command, threads):
    """Peak MiB and standard error of a process."""
    env = dict(os.environ, RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    done = subprocess.run([sys.executable, "-S", "-c", PEAK, *command], env=env, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command} failed:\n{done.stderr}")
    return int(done.stdout.split()[-1]) / 1024, done.stderr


def compare(program, name, source, threads, folder):
    """A dict of the largest difference, both times and both peaks."""
    peer_out, own_out = (os.path.join(folder, f) for f in ("peer.nii", "own.nii"))
    peer, steps, word = COMPARED[name]
    own = [program, "preprocess", steps, source, own_out if name != "n4" else os.path.join(folder, "corrected.nii")]
    best = {"peer_s": np.inf, "own_s": np.inf}
    for _ in range(REPEATS):
        best["peer_mib"], said = measured([sys.executable, __file__, "--peer", name, str(threads), source, peer_out], threads)
        best["peer_s"] = min(best["peer_s"], float(said.split()[-1]))
        best["own_mib"], said = measured(own, threads)
        best["own_s"] = min(best["own_s"], float(re.search(rf"^{word} ([\d.]+) s$", said, re.M)[1]))
    if name == "n4":
        measured(own + ["--save-bias", own_out], threads)
    ours, theirs = (np.asarray(nib.load(f).dataobj, dtype=np.float64) for f in (own_out, peer_out))
    best["difference"] = np.abs(ours - theirs).max()
    best["scale"] = np.ptp(theirs)
    return best


def phantom(folder):
    """A phantom with a known field (the tests'), as a file, and the field's log."""
    sys.path.insert(0, FIXTURES)
    from make_phantom import phantom as make
    image, truth = make((96, 80, 74))
    path = os.path.join(folder, "phantom.nii.gz")
    nib.save(nib.Nifti1Image(image, np.diag([2.0, 2, 2, 1])), path)
    return path, truth, image


def recovered(found, truth, image):
    """Standard deviation of what is left of the known field within the head, over its own."""
    inside = image > 0
    return np.std((found - truth)[inside]) / np.std(truth[inside])


def big_file(folder, source):
    """256^3 int16, gzipped: a head enlarged by index, times 13 plus small noise, so that it packs like a scan."""
    a = np.asarray(nib.load(source).dataobj)
    b = a[np.ix_(*[np.arange(256) * n // 256 for n in a.shape])].astype(np.int16) * 13
    b += (np.random.default_rng(0).integers(0, 13, b.shape) * (b > 0)).astype(np.int16)
    path = os.path.join(folder, "big.nii.gz")
    nib.save(nib.Nifti1Image(b, np.eye(4)), path)
    return path


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())[1]
    return f"{os.cpu_count()} cores of {model}, {platform.system()}"


def main(program, heads):
    import nilearn
    import scipy
    import SimpleITK as sitk
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        inputs = [(f"sub-0{i}, 2 mm, 80x128x128", os.path.join(FIXTURES, f"sub-0{i}_2mm_input.nii.gz")) for i in (1, 2)]
        phantom_path, truth, image = phantom(folder)
        inputs.append(("phantom, 96x80x74", phantom_path))
        for head in heads:
            shape = "x".join(map(str, nib.load(head).shape))
            inputs.append((f"{os.path.basename(head).split('.')[0]}, {shape}", head))
        tasks = [("n4", t, i) for i in inputs for t in THREADS]
        last = inputs[-1]
        tasks += [(name, 1, last) for name in ("nearest", "linear", "cubic", "rescale", "zscore", "clip")]
        tasks.append(("read", 1, ("256x256x256 int16 .nii.gz", big_file(folder, inputs[0][1]))))
        left = None
        for name, threads, (label, path) in tasks:
            r = compare(program, name, path, threads, folder)
            rows.append(f"| {name} | {label} | {COMPARED[name][0]} | {threads} | {r['difference']:.1e} of {r['scale']:.3g} "
                        f"| {r['peer_s']:.3f} | {r['own_s']:.3f} | {r['peer_s'] / r['own_s']:.1f} "
                        f"| {r['peer_mib']:.0f} | {r['own_mib']:.0f} |")
            print(rows[-1], flush=True)
            if name == "n4" and path == phantom_path:
                left = [recovered(np.asarray(nib.load(os.path.join(folder, f)).dataobj), truth, image)
                        for f in ("peer.nii", "own.nii")]
        versions = (f"SimpleITK {sitk.__version__}, nilearn {nilearn.__version__}, scipy {scipy.__version__}, "
                    f"nibabel {nib.__version__}, numpy {np.__version__}")
        text = "\n".join([
            "| step | input | peer | threads | largest difference | peer, s | calvaria, s | ratio | peer, MiB | calvaria, MiB |",
            "|---|---|---|---|---|---|---|---|---|---|", *rows, "",
            f"N4's difference is of the log bias field. Of the phantom's known field, SimpleITK leaves {left[0]:.4f} "
            f"and calvaria {left[1]:.4f} of its standard deviation within the head.", "",
            f"Quickest of {REPEATS} each, in turn, in one run; memory is the whole process' peak, Python's own included. "
            f"{machine()}, {datetime.date.today()}. {versions}."])
    readme = os.path.join(HERE, "..", "README.md")
    with open(readme) as file:
        old = file.read()
    with open(readme, "w") as file:
        file.write(re.sub(r"(<!-- peers -->\n).*(\n<!-- /peers -->)", lambda m: m[1] + text + m[2], old, flags=re.S))


if __name__ == "__main__":
    if sys.argv[1] == "--peer":
        _, _, name, threads, source, output = sys.argv
        seconds = globals()[f"peer_{name}"](int(threads), source, output)
        print(seconds, file=sys.stderr)
    else:
        main(sys.argv[1], sys.argv[2:])
