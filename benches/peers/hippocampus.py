"""Cross-validation on the hippocampus (Medical Segmentation Decathlon, Task04) with nnU-Net itself, on the CPU.

    python hippocampus.py ROOT WORK [--minutes 10 | --iterations 449] [--folds 0,1,2,3,4] [--threads 2] [--workers 0]

ROOT has images/ and labels/ with hippocampus_NNN.nii.gz (labels: 1 anterior, 2 posterior).  WORK keeps everything
that is made: nnU-Net's raw and preprocessed folders, and in WORK/MINUTES-minutes/ or WORK/ITERATIONS-iterations/ its results, a fold_K.json for every
fold as soon as it is done, and table.md over all of them.  A fold that is done is not done again, and one that was
only trained is only predicted.  --split names the file of folds, as nnU-Net has it in splits_final.json;
hippocampus_folds.json is the default, and calvaria takes it too (split: {predefined: {path: ...}}).  It was written
by `python hippocampus.py ROOT FILE --make-folds`.

Planning, preprocessing, augmentation, network, loss, optimizer, batch, patch, prediction and scores are nnU-Net's
own, with their defaults, of its 3d_fullres configuration.  One thing is changed, the length of training:
nnU-Net trains 1000 epochs of 250 iterations, which takes days on two cores.  Here it trains for MINUTES of wall time,
and an epoch is a thousandth of that time.  So its learning rate still falls along its polynomial in a thousand steps,
and ends with the time, however fast the machine is.  What it does between epochs is left out, because it takes time
and changes no weight: the validation on patches, the plot, and the intermediate checkpoints.  The time counts from the
first iteration to the last, with augmentation, and without planning, preprocessing and prediction.  The weights at
the end are those that count, as in nnU-Net.

With --iterations the length is a number of iterations, and an epoch a thousandth of them.  So one fold can be timed
on a quiet machine, and the others do the same work on a busy one.

nnU-Net compiles nothing on a CPU and computes in 32-bit floats there.  glibc keeps freed memory (its faster way).
Augmentation is done in turn with the training, or with --workers in processes beside it.  A batch costs 0.1 s of CPU
time and its training step 9 s, so on two cores such processes could save 2 % at most; their polling takes 3 % of a core.
"""
import argparse
import datetime
import hashlib
import json
import os
import platform
import random
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DATASET = "Dataset004_Hippocampus"
CONFIGURATION = "3d_fullres"
STRUCTURES = {"anterior": 1, "posterior": 2}
KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}
PACKAGES = ("nnunetv2", "torch", "batchgenerators", "batchgeneratorsv2", "dynamic_network_architectures", "acvl_utils",
            "numpy", "scipy", "scikit-image", "SimpleITK")
# The seed of the folds' shuffle.
SEED = 4


def read(path):
    with open(path) as file:
        return json.load(file)


def write(path, content):
    """Writes all of a file or nothing, so that a file that is there is whole."""
    with open(path + ".part", "w") as file:
        json.dump(content, file, indent=1)
    os.replace(path + ".part", path)


def ids_in(root):
    return sorted(name.removesuffix(".nii.gz") for name in os.listdir(os.path.join(root, "labels")) if name.endswith(".nii.gz"))


def make_folds(ids, count=5):
    """Folds of equal size over shuffled ids."""
    ids = sorted(ids)
    random.Random(SEED).shuffle(ids)
    parts = [sorted(ids[k::count]) for k in range(count)]
    return [{"train": sorted(set(ids) - set(part)), "val": part} for part in parts]


# ---- what runs in processes of its own

def prepare(a):
    """Raw folder, plans and preprocessed images, as nnU-Net makes them."""
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api
    raw = os.path.join(os.environ["nnUNet_raw"], DATASET)
    for side in ("imagesTr", "labelsTr"):
        os.makedirs(os.path.join(raw, side), exist_ok=True)
    ids = ids_in(a.root)
    for case in ids:
        for source, copy in (("images", f"imagesTr/{case}_0000"), ("labels", f"labelsTr/{case}")):
            shutil.copyfile(os.path.join(a.root, source, case + ".nii.gz"), os.path.join(raw, copy + ".nii.gz"))
    write(os.path.join(raw, "dataset.json"), {
        "channel_names": {"0": "MRI"}, "labels": {"background": 0, **STRUCTURES}, "numTraining": len(ids), "file_ending": ".nii.gz"})
    start = time.perf_counter()
    number = int(DATASET[7:10])
    api.extract_fingerprints([number], num_processes=a.threads, check_dataset_integrity=True)
    name = api.plan_experiments([number])
    api.preprocess([number], name, [CONFIGURATION], [a.threads])
    plan = read(os.path.join(os.environ["nnUNet_preprocessed"], DATASET, name + ".json"))["configurations"][CONFIGURATION]
    write(a.plan_file, {"seconds": time.perf_counter() - start, "name": name, "plan": plan})


def trainer_class():
    """nnU-Net's trainer, which trains for a given time or number of iterations."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    class TimedTrainer(nnUNetTrainer):
        # Set by `fold`: seconds of training, or iterations where they are not 0, and how many cases are predicted at
        # most (all where 0).
        seconds = 0
        iterations = 0
        cases = 0

        def do_split(self):
            train, val = super().do_split()
            return train, val[:self.cases or len(val)]

        def run_training(self):
            self.on_train_start()
            workers = int(os.environ["nnUNet_n_proc_DA"])
            # There is no validation on patches; its workers would only wait.
            if hasattr(self.dataloader_val, "_finish"):
                self.dataloader_val._finish()
            self.dataloader_val = None
            self.network.train()
            losses, took = [], []
            start = last = time.perf_counter()
            while True:
                if self.iterations:
                    done, end = len(losses), self.iterations
                else:
                    # The last iteration is the one that ends nearest to the time.
                    done, end = last - start, self.seconds - (statistics.median(took) / 2 if took else 0)
                if done >= end:
                    break
                epoch = int(self.num_epochs * done / (self.iterations or self.seconds))
                self.lr_scheduler.step(epoch)
                losses.append(float(self.train_step(next(self.dataloader_train))["loss"]))
                now = time.perf_counter()
                took.append(now - last)
                last = now
                if len(losses) % 20 == 0:
                    self.print_to_log_file(f"iteration {len(losses)}, {last - start:.0f} s, epoch {epoch}, loss "
                                           f"{statistics.mean(losses[-20:]):.4f}, {statistics.median(took[-20:]):.3f} s an iteration")
            self.current_epoch = self.num_epochs
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            self.on_train_end()
            tenth = max(1, len(losses) // 10)
            return {"seconds": last - start, "iterations": len(losses), "batch_size": self.batch_size,
                    "samples": len(losses) * self.batch_size, "median_iteration_s": statistics.median(took),
                    "peak_mib": peak,
                    # Without workers the largest child is a helper that was forked, and its size says nothing.
                    "worker_peak_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 if workers else None,
                    "parameters": sum(p.numel() for p in self.network.parameters()),
                    "first_losses": statistics.mean(losses[:tenth]), "last_losses": statistics.mean(losses[-tenth:])}

    return TimedTrainer


def scored(trainer):
    """Predicts the validation cases, and reads the scores that nnU-Net writes."""
    start = time.perf_counter()
    trainer.perform_actual_validation()
    seconds = time.perf_counter() - start
    summary = read(os.path.join(trainer.output_folder, "validation", "summary.json"))
    cases = {os.path.basename(case["prediction_file"]).removesuffix(".nii.gz"):
             {name: case["metrics"][str(label)]["Dice"] for name, label in STRUCTURES.items()} for case in summary["metric_per_case"]}
    return {"seconds": seconds, "dice": {name: summary["mean"][str(label)]["Dice"] for name, label in STRUCTURES.items()},
            "cases": cases}


def fold(a):
    """Trains a fold, predicts it, and writes its file."""
    from importlib.metadata import version
    import torch
    torch.set_num_threads(a.threads)
    made = read(a.plan_file)
    preprocessed = os.path.join(os.environ["nnUNet_preprocessed"], DATASET)
    plans = read(os.path.join(preprocessed, made["name"] + ".json"))
    plans["continue_training"] = False
    trainer = trainer_class()(plans, CONFIGURATION, a.fold, read(os.path.join(preprocessed, "dataset.json")), torch.device("cpu"))
    trainer.seconds, trainer.iterations, trainer.cases = a.minutes * 60, a.iterations, a.cases
    record = os.path.join(trainer.output_folder, "training.json")
    if os.path.exists(record):
        trainer.load_checkpoint(os.path.join(trainer.output_folder, "checkpoint_final.pth"))
    else:
        load = os.getloadavg()[1]
        write(record, {**trainer.run_training(), "load_average_before": load, "load_average_after": os.getloadavg()[1]})
    mirrored = scored(trainer)
    # Once more without mirroring, which takes an eighth of the time.
    trainer.inference_allowed_mirroring_axes = None
    trainer.output_folder = os.path.join(trainer.output_folder, "unmirrored")
    write(a.fold_file(a.fold), {
        "fold": a.fold, "settings": a.settings, "training": read(record), "validation": mirrored, "unmirrored": scored(trainer),
        "peak_with_prediction_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "preparation_s": made["seconds"], "plan": made["plan"], "machine": machine(), "date": str(datetime.date.today()),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}})


# ---- the process that starts them

def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())[1]
    return f"{os.cpu_count()} cores of {model}, {platform.system()}"


def run(a, *step):
    """Runs a step in a process, and ends the workers that it leaves behind."""
    env = {**os.environ, **KEEP, **a.folders, "OMP_NUM_THREADS": str(a.threads), "nnUNet_def_n_proc": str(a.threads),
           # Its planner takes the number of workers for the number of threads, and so none for a fault.
           "nnUNet_n_proc_DA": str(a.workers if "--one-fold" in step else a.threads)}
    child = subprocess.Popen([sys.executable, __file__, *sys.argv[1:], *step], env=env, start_new_session=True)
    try:
        if child.wait() != 0:
            sys.exit(f"{' '.join(step)} failed")
    finally:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def length(settings):
    """How long a fold trains."""
    return f"{settings['iterations']} iterations" if settings.get("iterations") else f"{settings['minutes']:g} minutes"


def table(results):
    """Markdown over the folds; the last row is over all cases."""
    def means(cases):
        values = [statistics.mean(case[name] for case in cases) for name in STRUCTURES]
        return [f"{value:.4f}" for value in (*values, statistics.mean(values))]

    rows = []
    pooled = {"validation": [], "unmirrored": []}
    for r in results:
        for key, cases in pooled.items():
            cases += r[key]["cases"].values()
        t = r["training"]
        rows.append([r["fold"], len(r["validation"]["cases"]), *means(r["validation"]["cases"].values()),
                     *means(r["unmirrored"]["cases"].values()), t["iterations"], t["samples"], f"{t['seconds']:.0f}",
                     f"{r['validation']['seconds']:.0f}", f"{t['peak_mib']:.0f}"])
    rows.append(["all", len(pooled["validation"]), *means(pooled["validation"]), *means(pooled["unmirrored"]), "", "", "", "", ""])
    s, r = results[-1]["settings"], results[-1]
    place = f"in {s['workers']} processes beside it" if s["workers"] else "in turn with it"
    names = [*STRUCTURES, "mean"]
    head = ["fold", "cases", *names, *(f"{name}, no mirroring" for name in names), "iterations", "samples", "training, s",
            "prediction, s", "peak, MiB"]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join([
        *("| " + " | ".join(map(str, line)) + " |" for line in lines), "",
        f"Mean Dice of nnU-Net {r['versions']['nnunetv2']}, torch {r['versions']['torch']}; {length(s)} of training a fold, "
        f"{s['threads']} threads, augmentation {place}. {r['machine']}, {r['date']}."])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     allow_abbrev=False)
    parser.add_argument("root", help="folder with images/ and labels/")
    parser.add_argument("work", help="folder for everything that is made")
    parser.add_argument("--split", default=os.path.join(HERE, "hippocampus_folds.json"), help="JSON list of {train, val}")
    parser.add_argument("--minutes", type=float, default=10, help="wall time of training, a fold")
    parser.add_argument("--iterations", type=int, default=0, help="iterations of training, a fold, instead of minutes")
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="augmentation processes")
    parser.add_argument("--make-folds", action="store_true", help="write folds of ROOT's cases to WORK, a file, and end")
    # For trying the script out: predict only the first cases.
    parser.add_argument("--cases", type=int, default=0, help=argparse.SUPPRESS)
    # The steps in processes of their own.
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--one-fold", type=int, dest="fold", metavar="K", help=argparse.SUPPRESS)
    a = parser.parse_args()
    a.root, a.work = os.path.abspath(a.root), os.path.abspath(a.work)
    if a.make_folds:
        return a
    with open(a.split, "rb") as file:
        split = hashlib.sha256(file.read()).hexdigest()
    a.settings = {"minutes": a.minutes, "threads": a.threads, "workers": a.workers, "cases": a.cases, "split_sha256": split}
    if a.iterations:
        del a.settings["minutes"]
        a.settings["iterations"] = a.iterations
    results = os.path.join(a.work, length(a.settings).replace(" ", "-"))
    a.folders = {"nnUNet_raw": os.path.join(a.work, "raw"), "nnUNet_preprocessed": os.path.join(a.work, "preprocessed"),
                 "nnUNet_results": results}
    a.plan_file = os.path.join(a.work, "plan.json")
    a.fold_file = lambda k: os.path.join(results, f"fold_{k}.json")
    return a


def main(a):
    # So that `run` can end its workers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    results = a.folders["nnUNet_results"]
    os.makedirs(results, exist_ok=True)
    started = os.path.join(results, "settings.json")
    if not os.path.exists(started):
        write(started, a.settings)
    elif read(started) != a.settings:
        sys.exit(f"{results} was begun with {read(started)}, not with {a.settings}. Take another work folder, or remove it.")
    split = read(a.split)
    wanted = [int(k) for k in a.folds.split(",")]
    if not all(0 <= k < len(split) for k in wanted):
        sys.exit(f"{a.split} has the folds 0 to {len(split) - 1}, not all of {a.folds}")
    for k, sides in enumerate(split):
        if sorted(sides["train"] + sides["val"]) != ids_in(a.root):
            sys.exit(f"fold {k} of {a.split} does not have every case of {a.root} once")
    if not os.path.exists(a.plan_file):
        run(a, "--prepare")
    write(os.path.join(a.folders["nnUNet_preprocessed"], DATASET, "splits_final.json"), split)
    for k in wanted:
        if os.path.exists(a.fold_file(k)):
            print(f"fold {k} is done: {a.fold_file(k)}", flush=True)
        else:
            run(a, "--one-fold", str(k))
        text = table([read(a.fold_file(j)) for j in range(len(split)) if os.path.exists(a.fold_file(j))])
        with open(os.path.join(results, "table.md"), "w") as file:
            file.write(text + "\n")
    print(text)


if __name__ == "__main__":
    A = arguments()
    if A.make_folds:
        write(A.work, make_folds(ids_in(A.root)))
    elif A.prepare:
        prepare(A)
    elif A.fold is not None:
        fold(A)
    else:
        main(A)
