"""Brains out of whole heads (IXI at 2 mm): nnU-Net itself and MONAI's U-Net on one fold of calvaria's, on the CPU.

    python ixi.py ROOT WORK --split RUN/split.json [--minutes 60 | --iterations N] [--peers nnunet,monai]
                  [--ours RUN [--ours-masks FOLDER]] [--threads 2] [--workers 0]
    python ixi.py ROOT WORK --prepare        # nnU-Net's preprocessing alone

ROOT has t1/ID_T1.nii.gz and brainmasks/ID_brainmask.nii.gz (0 and 1).  The split is the file that a run of calvaria
writes: a fold with `index`, `train` and `validation`; --ours has one, so --split may be left out.  Each peer trains on the
fold's training heads for as many minutes (or iterations) as the other, one after the other, and predicts the validation
heads on their own grids.  WORK keeps all that is made: nnU-Net's raw and preprocessed folders, made once for all folds, and
in WORK/fold-K/MINUTES-minutes/ a JSON file a peer, results.json and table.md.  A peer that is done is not done again, one
that was only trained is only predicted, and one that was stopped in training begins anew.

- nnU-Net's fingerprint, plans, preprocessing, training and prediction are its own; nnunet.py says how its training is cut
  to the time.  Its fingerprint is of all heads of ROOT, as in its own cross-validations.  It is shown twice: it mirrors
  heads in prediction, which takes eight times as long, and once it does not.
- MONAI has no recipe of its own, so this is the one of its tutorials: the U-Net and the crops of its spleen tutorial (five
  levels of 16 to 256 channels, strides of 2, two residual units, batch normalisation; four crops of 96x96x96 of each of two
  heads, half of them around a voxel of the brain; heads in memory, prepared once), Dice and cross-entropy as in its
  spleen bundle, and what its tutorial on brain tumours does to MRI: z-scores over what is not 0, flips along all axes,
  intensities scaled and shifted by up to a tenth, Adam with a weight decay of 1e-5 and a rate that falls along a cosine to
  the end.  It begins at 1e-3, as in the tutorial of that U-Net; the two others' 1e-4 is for days on a GPU (--rate).  The
  heads are not turned or resampled, because all are of one spacing and orientation.  The crop is larger than a head's 90
  planes, so heads are padded.  Windows of 96x96x96 that overlap by a quarter.
- Both are taken with their last weights and looked at no validation head before.

All masks are scored by the same functions, MONAI's: IoU, Dice, and HD95 in mm, which is infinite where nothing was found.
The masks of a run of calvaria are scored so where --ours-masks has them (`calvaria predict --validation`); otherwise its
cases.csv is read, whose scores are defined alike (docs/agreement.md).  calvaria's minutes are the sum over its epochs,
with their validations.

Times: training from the first iteration to the last, processor time of the process beside it (on two quiet cores about
twice as much; much less says that something else ran); preparation, which is not in it, is nnU-Net's of all heads of ROOT
and MONAI's of the training heads; a head's prediction is with writing, and with reading and z-scores for MONAI alone.
"""
import argparse
import csv
import datetime
import glob
import hashlib
import json
import math
import os
import statistics
import sys
import time
import warnings

import nnunet
from timed import add_arguments, begin, length, machine, peak_mib, read, run, settings, train, versions, write

DATASET = "Dataset011_IXI"
SCORES = ("iou", "dice", "hd95")
CROP, HEADS, CROPS = (96, 96, 96), 2, 4


def ids_in(root):
    return sorted(name.removesuffix("_T1.nii.gz") for name in os.listdir(os.path.join(root, "t1")) if name.endswith("_T1.nii.gz"))


def files_of(root, case):
    return os.path.join(root, "t1", case + "_T1.nii.gz"), os.path.join(root, "brainmasks", case + "_brainmask.nii.gz")


# ---- what runs in processes of its own

def scores(truth, predicted):
    """IoU, Dice and HD95 of one head."""
    # MONAI's distances call functions of its own in a way that it has deprecated.
    warnings.filterwarnings("ignore", category=FutureWarning, module="monai")
    import nibabel
    import numpy as np
    import torch
    from monai.metrics import compute_dice, compute_hausdorff_distance, compute_iou
    images = [nibabel.load(path) for path in (predicted, truth)]
    if images[0].shape != images[1].shape or not np.allclose(images[0].affine, images[1].affine, atol=1e-3):
        sys.exit(f"{predicted} and {truth} are not on one grid")
    masks = [np.asarray(image.dataobj) > 0 for image in images]
    p, t = (torch.from_numpy(mask.astype(np.float32))[None, None] for mask in masks)
    spacing = [float(size) for size in images[1].header.get_zooms()[:3]]
    hd95 = compute_hausdorff_distance(p, t, include_background=True, percentile=95, spacing=spacing) if masks[0].any() else math.inf
    return {"iou": float(compute_iou(p, t)), "dice": float(compute_dice(p, t)), "hd95": float(hd95)}


def scored(a, path_of):
    return {case: scores(files_of(a.root, case)[1], path_of(case)) for case in a.validation}


def done(a, name, packages, **more):
    write(a.result(name), {**more, "settings": a.settings, "peak_with_prediction_mib": peak_mib(), "machine": machine(),
                           "date": str(datetime.date.today()), "versions": versions(packages)})


def prepare(a):
    nnunet.prepare(DATASET, {case: files_of(a.root, case) for case in ids_in(a.root)}, {"brain": 1}, a.plan_file, a.threads)


def train_nnunet(a):
    made = read(a.plan_file)
    trainer, training = nnunet.trained(DATASET, made["name"], a.fold["index"], (a.fold["train"], a.validation), a.settings)
    rows = []
    for mirrored in (True, False):
        if not mirrored:
            nnunet.without_mirroring(trainer)
        seconds, folder = nnunet.predicted(trainer)
        rows.append({"name": "nnU-Net, " + ("mirrored in prediction" if mirrored else "not mirrored"),
                     "prediction_s": seconds / len(a.validation),
                     "cases": scored(a, lambda case: os.path.join(folder, case + ".nii.gz"))})
    done(a, "nnunet", nnunet.PACKAGES, training=training, rows=rows, preparation_s=made["seconds"], plan=made["plan"])


def endless(loader):
    while True:
        yield from loader


def train_monai(a):
    import nibabel
    import numpy as np
    import torch
    from monai.data import CacheDataset, DataLoader
    from monai.inferers import sliding_window_inference
    from monai.losses import DiceCELoss
    from monai.networks.nets import UNet
    from monai.transforms import (Compose, EnsureChannelFirstd, LoadImaged, NormalizeIntensityd, RandCropByPosNegLabeld, RandFlipd,
                                  RandScaleIntensityd, RandShiftIntensityd, SpatialPadd)
    from monai.utils import set_determinism
    torch.set_num_threads(a.threads)
    set_determinism(seed=0)
    folder = os.path.join(a.results, "monai")
    os.makedirs(folder, exist_ok=True)
    weights, record = (os.path.join(folder, name) for name in ("weights.pt", "training.json"))
    model = UNet(spatial_dims=3, in_channels=1, out_channels=2, channels=(16, 32, 64, 128, 256), strides=(2, 2, 2, 2),
                 num_res_units=2, norm="batch")

    def prepared(keys):
        return [LoadImaged(keys), EnsureChannelFirstd(keys), NormalizeIntensityd("image", nonzero=True, channel_wise=True)]

    if os.path.exists(record):
        model.load_state_dict(torch.load(weights))
    else:
        both = ("image", "label")
        start = time.perf_counter()
        heads = CacheDataset([dict(zip(both, files_of(a.root, case))) for case in a.fold["train"]], Compose([
            *prepared(both), SpatialPadd(both, CROP),
            RandCropByPosNegLabeld(both, label_key="label", spatial_size=CROP, pos=1, neg=1, num_samples=CROPS),
            *(RandFlipd(both, prob=0.5, spatial_axis=axis) for axis in range(3)),
            RandScaleIntensityd("image", factors=0.1, prob=1.0), RandShiftIntensityd("image", offsets=0.1, prob=1.0)]),
            num_workers=a.threads, progress=False)
        preparation = time.perf_counter() - start
        loader = DataLoader(heads, batch_size=HEADS, shuffle=True, drop_last=True, num_workers=a.workers)
        batches = endless(loader)
        loss_of = DiceCELoss(to_onehot_y=True, softmax=True)
        optimizer = torch.optim.Adam(model.parameters(), a.rate, weight_decay=1e-5)
        model.train()

        def step(part):
            for group in optimizer.param_groups:
                group["lr"] = a.rate * (1 + math.cos(math.pi * part)) / 2
            batch = next(batches)
            optimizer.zero_grad()
            loss = loss_of(model(batch["image"]), batch["label"])
            loss.backward()
            optimizer.step()
            return loss.item()

        told = train(step, a.settings, lambda line: print(line, flush=True))
        torch.save(model.state_dict(), weights)
        write(record, {**told, "batch_size": HEADS * CROPS, "samples": told["iterations"] * HEADS * CROPS,
                       "parameters": sum(p.numel() for p in model.parameters()), "preparation_s": preparation})
    model.eval()
    load = Compose(prepared(["image"]))
    start = time.perf_counter()
    for case in a.validation:
        source = files_of(a.root, case)[0]
        with torch.no_grad():
            image = load({"image": source})["image"].as_tensor()[None]
            mask = sliding_window_inference(image, CROP, 4, model).argmax(1)[0]
        nibabel.save(nibabel.Nifti1Image(mask.numpy().astype(np.uint8), nibabel.load(source).affine),
                     os.path.join(folder, case + ".nii.gz"))
    seconds = (time.perf_counter() - start) / len(a.validation)
    training = read(record)
    row = {"name": "MONAI's U-Net", "prediction_s": seconds, "cases": scored(a, lambda case: os.path.join(folder, case + ".nii.gz"))}
    done(a, "monai", ("monai", "torch", "numpy", "nibabel"), training=training, rows=[row], preparation_s=training["preparation_s"])


def read_ours(a):
    """A run of calvaria as a peer's JSON."""
    import yaml
    if a.ours_masks:
        def mask(case):
            found = glob.glob(os.path.join(glob.escape(a.ours_masks), "**", f"{glob.escape(case)}*_mask.nii.gz"), recursive=True)
            if len(found) != 1:
                sys.exit(f"{a.ours_masks} has {len(found)} masks of {case}")
            return found[0]
        cases = scored(a, mask)
    else:
        with open(os.path.join(a.ours, "cases.csv")) as file:
            rows = {row["case"]: row for row in csv.DictReader(file)}
        cases = {case: {name: float(rows[case][name]) for name in SCORES} for case in a.validation}
    with open(os.path.join(a.ours, "config.yaml")) as file:
        of = yaml.safe_load(file)["train"]
    with open(os.path.join(a.ours, "metrics.csv")) as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    sessions = read(os.path.join(a.ours, "environment.json"))["sessions"]
    batch = of["batch_size"] * of["accumulate"]
    shown_once = len(a.fold["train"]) * (of["patch"] or {}).get("samples", 1)
    steps = len(seconds) * (of["steps_per_epoch"] or math.ceil(shown_once / batch))
    training = {"seconds": sum(seconds), "cpu_seconds": None, "iterations": steps, "batch_size": batch, "samples": steps * batch,
                "peak_mib": max(session["peak_memory_mib"] for session in sessions)}
    done(a, "ours", (), training=training, rows=[{"name": "calvaria", "prediction_s": None, "cases": cases}], preparation_s=None,
         commit=sessions[-1]["commit"])


# ---- the process that starts them

def shown(value, digits):
    return "" if value is None else f"{value:.{digits}f}"


def table(results):
    """Markdown: a row a way to predict."""
    head = ["", "IoU", "worst", "Dice", "worst", "HD95, mm", "worst", "training, min", "CPU, min", "iterations x batch", "samples",
            "peak, MiB", "with prediction", "prediction, s a head", "preparation, s"]
    lines = [head, ["---"] * len(head)]
    for r in results:
        t = r["training"]
        for at, row in enumerate(r["rows"]):
            line = [row["name"]]
            for name, worst, digits in zip(SCORES, (min, min, max), (4, 4, 2)):
                values = [case[name] for case in row["cases"].values()]
                line += [shown(statistics.mean(values), digits), shown(worst(values), digits)]
            cpu = t["cpu_seconds"] and t["cpu_seconds"] / 60
            same = [shown(t["seconds"] / 60, 1), shown(cpu, 1), f"{t['iterations']} x {t['batch_size']}", t["samples"],
                    shown(t["peak_mib"], 0), shown(r["peak_with_prediction_mib"], 0) if cpu else "", shown(row["prediction_s"], 1),
                    shown(r["preparation_s"], 0)]
            if at:
                same[:6], same[7] = [""] * 6, ""
            lines.append(line + same)
    s, last = results[-1]["settings"], results[-1]
    told = {name: number for r in results for name, number in r["versions"].items() if name in ("nnunetv2", "monai", "torch")}
    return "\n".join([
        *("| " + " | ".join(map(str, line)) + " |" for line in lines), "",
        f"Fold {s['fold']}, {len(last['rows'][0]['cases'])} unseen heads; {length(s)} a peer, {s['threads']} threads; "
        f"{', '.join(f'{name} {number}' for name, number in told.items())}. {last['machine']}, {last['date']}."])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     allow_abbrev=False)
    parser.add_argument("root", help="folder with t1/ and brainmasks/")
    parser.add_argument("work", help="folder for everything that is made")
    parser.add_argument("--split", help="split.json of a run; by default that of --ours")
    parser.add_argument("--peers", default="nnunet,monai", help="which ones; others that are done stay in the table")
    parser.add_argument("--ours", metavar="RUN", help="folder of a run of calvaria on the same fold")
    parser.add_argument("--ours-masks", metavar="FOLDER", help="its masks of the validation heads")
    parser.add_argument("--rate", type=float, default=1e-3, help="MONAI's first learning rate")
    add_arguments(parser, minutes=60)
    parser.add_argument("--prepare", action="store_true", help="make nnU-Net's preprocessed heads, and end")
    # For trying the script out: predict only the first heads.
    parser.add_argument("--cases", type=int, default=0, help=argparse.SUPPRESS)
    # The steps in processes of their own.
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    a = parser.parse_args()
    a.root, a.work = os.path.abspath(a.root), os.path.abspath(a.work)
    a.plan_file = os.path.join(a.work, "plan.json")
    if a.prepare:
        return a
    if not a.split and not a.ours:
        parser.error("--split or --ours is needed")
    a.peers = [name for name in a.peers.split(",") if name]
    if not set(a.peers) <= {"nnunet", "monai"}:
        parser.error("--peers are nnunet and monai")
    a.fold = read(a.split or os.path.join(a.ours, "split.json"))
    a.validation = a.fold["validation"][:a.cases or None]
    sides = json.dumps([a.fold["train"], a.fold["validation"]]).encode()
    a.settings = settings(a, fold=a.fold["index"], split_sha256=hashlib.sha256(sides).hexdigest(), cases=a.cases, rate=a.rate)
    a.results = os.path.join(a.work, f"fold-{a.fold['index']}", length(a.settings).replace(" ", "-"))
    a.result = lambda name: os.path.join(a.results, name + ".json")
    return a


def prepare_once(a):
    if not os.path.exists(a.plan_file):
        os.makedirs(a.work, exist_ok=True)
        run(a.threads, nnunet.environment(a.work, a.work, a.threads, a.threads), "--step", "prepare")


def main(a):
    if a.prepare:
        return prepare_once(a)
    begin(a.results, a.settings)
    known = set(ids_in(a.root))
    unknown = [case for side in ("train", "validation") for case in a.fold[side] if case not in known]
    if unknown:
        sys.exit(f"{a.root} has no {unknown[0]}, and {len(unknown) - 1} more of the split are not there")
    if a.ours and read(os.path.join(a.ours, "split.json")) != a.fold:
        sys.exit(f"{a.ours} is of another split")
    if "nnunet" in a.peers:
        prepare_once(a)
    env = nnunet.environment(a.work, os.path.join(a.results, "nnunet"), a.threads, a.workers)
    for name in a.peers:
        if os.path.exists(a.result(name)):
            print(f"{name} is done: {a.result(name)}", flush=True)
        else:
            run(a.threads, env, "--step", name)
    if a.ours:
        run(a.threads, env, "--step", "ours")
    results = {name: read(a.result(name)) for name in ("nnunet", "monai", "ours") if os.path.exists(a.result(name))}
    if results:
        write(a.result("results"), results)
        text = table(list(results.values()))
        with open(os.path.join(a.results, "table.md"), "w") as file:
            file.write(text + "\n")
        print(text)


STEPS = {"prepare": prepare, "nnunet": train_nnunet, "monai": train_monai, "ours": read_ours}

if __name__ == "__main__":
    A = arguments()
    STEPS[A.step](A) if A.step else main(A)
