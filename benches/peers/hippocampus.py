"""Cross-validation on the hippocampus (Medical Segmentation Decathlon, Task04) with nnU-Net itself, on the CPU.

    python hippocampus.py ROOT WORK [--minutes 10 | --iterations 449] [--folds 0,1,2,3,4] [--threads 2] [--workers 0]

ROOT has images/ and labels/ with hippocampus_NNN.nii.gz (labels: 1 anterior, 2 posterior).  WORK keeps everything
that is made: nnU-Net's raw and preprocessed folders, and in WORK/MINUTES-minutes/ or WORK/ITERATIONS-iterations/ its results, a fold_K.json for every
fold as soon as it is done, and table.md over all of them.  A fold that is done is not done again, and one that was
only trained is only predicted.  --split names the file of folds, as nnU-Net has it in splits_final.json;
hippocampus_folds.json is the default, and calvaria takes it too (split: {predefined: {path: ...}}).  It was written
by `python hippocampus.py ROOT FILE --make-folds`.

What is nnU-Net's own, and what the length of training changes, nnunet.py says; the scores are nnU-Net's own too.  With
--iterations one fold can be timed on a quiet machine, and the others do the same work on a busy one.

A batch costs 0.1 s of CPU time and its training step 9 s, so on two cores workers that augment beside the training
(--workers) could save 2 % at most; their polling takes 3 % of a core.
"""
import argparse
import datetime
import hashlib
import os
import random
import statistics
import sys

import nnunet
from timed import add_arguments, begin, length, machine, peak_mib, read, run, settings, versions, write

HERE = os.path.dirname(os.path.abspath(__file__))
DATASET = "Dataset004_Hippocampus"
STRUCTURES = {"anterior": 1, "posterior": 2}
# The seed of the folds' shuffle.
SEED = 4


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
    cases = {case: [os.path.join(a.root, side, case + ".nii.gz") for side in ("images", "labels")] for case in ids_in(a.root)}
    nnunet.prepare(DATASET, cases, STRUCTURES, a.plan_file, a.threads)


def scored(trainer):
    """Predicts the validation cases, and reads the scores that nnU-Net writes."""
    seconds, folder = nnunet.predicted(trainer)
    summary = read(os.path.join(folder, "summary.json"))
    cases = {os.path.basename(case["prediction_file"]).removesuffix(".nii.gz"):
             {name: case["metrics"][str(label)]["Dice"] for name, label in STRUCTURES.items()} for case in summary["metric_per_case"]}
    return {"seconds": seconds, "dice": {name: summary["mean"][str(label)]["Dice"] for name, label in STRUCTURES.items()},
            "cases": cases}


def fold(a):
    """Trains a fold, predicts it, and writes its file."""
    made = read(a.plan_file)
    sides = read(a.split)[a.fold]
    split = sides["train"], sides["val"][:a.cases or len(sides["val"])]
    trainer, training = nnunet.trained(DATASET, made["name"], a.fold, split, a.settings)
    mirrored = scored(trainer)
    # Once more, which takes an eighth of the time.
    nnunet.without_mirroring(trainer)
    write(a.fold_file(a.fold), {
        "fold": a.fold, "settings": a.settings, "training": training, "validation": mirrored, "unmirrored": scored(trainer),
        "peak_with_prediction_mib": peak_mib(), "preparation_s": made["seconds"], "plan": made["plan"], "machine": machine(),
        "date": str(datetime.date.today()), "versions": versions(nnunet.PACKAGES)})


# ---- the process that starts them

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
    add_arguments(parser, minutes=10)
    parser.add_argument("--folds", default="0,1,2,3,4")
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
    a.settings = settings(a, cases=a.cases, split_sha256=split)
    a.results = os.path.join(a.work, length(a.settings).replace(" ", "-"))
    a.plan_file = os.path.join(a.work, "plan.json")
    a.fold_file = lambda k: os.path.join(a.results, f"fold_{k}.json")
    return a


def main(a):
    begin(a.results, a.settings)
    split = read(a.split)
    wanted = [int(k) for k in a.folds.split(",")]
    if not all(0 <= k < len(split) for k in wanted):
        sys.exit(f"{a.split} has the folds 0 to {len(split) - 1}, not all of {a.folds}")
    for k, sides in enumerate(split):
        if sorted(sides["train"] + sides["val"]) != ids_in(a.root):
            sys.exit(f"fold {k} of {a.split} does not have every case of {a.root} once")
    if not os.path.exists(a.plan_file):
        run(a.threads, nnunet.environment(a.work, a.results, a.threads, a.threads), "--prepare")
    for k in wanted:
        if os.path.exists(a.fold_file(k)):
            print(f"fold {k} is done: {a.fold_file(k)}", flush=True)
        else:
            run(a.threads, nnunet.environment(a.work, a.results, a.threads, a.workers), "--one-fold", str(k))
        text = table([read(a.fold_file(j)) for j in range(len(split)) if os.path.exists(a.fold_file(j))])
        with open(os.path.join(a.results, "table.md"), "w") as file:
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
