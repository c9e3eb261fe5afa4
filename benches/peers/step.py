"""Training steps and inference on the CPU: calvaria against PyTorch, and against an earlier build of itself.

    python step.py PROGRAM [--before PROGRAM] [--only WORDS]

Every measurement is a process of its own; the programs run in turn, in both orders, and the median of their
medians counts.  PyTorch runs with the allocator kept warm (its faster way): glibc keeps freed memory, as calvaria
tells it to by itself.  The table goes to standard output and, unless only some rows were measured, into ../README.md
between its markers.
"""
import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}
MODELS = {"unet": "{{unet: {{filters: {}, levels: {}, norm: batch}}}}", "nnunet": "{{nnunet: {{filters: {}, levels: {}}}}}"}
NORMS = {"unet": "batch", "nnunet": "instance"}
AVX2 = "AVX2"


def levels(model, size):
    """As nnU-Net plans them: 40 voxels are halved three times."""
    if model == "unet":
        return 5
    return 4 if min(size) < 64 else 6


# model, N D H W, filters, threads, precision, instructions
ROWS = [("unet", (1, 48, 64, 80), 16, 2, "f32", ""), ("unet", (1, 48, 64, 80), 16, 1, "f32", ""),
        ("unet", (2, 48, 64, 64), 8, 2, "f32", ""),
        ("unet", (1, 64, 64, 64), 32, 2, "f32", ""), ("unet", (1, 64, 64, 64), 32, 1, "f32", ""),
        ("unet", (1, 96, 128, 160), 16, 2, "f32", ""), ("unet", (1, 96, 128, 160), 16, 1, "f32", ""),
        ("nnunet", (1, 64, 64, 64), 32, 2, "f32", ""), ("nnunet", (2, 40, 56, 40), 32, 2, "f32", ""),
        ("unet", (1, 48, 64, 80), 16, 2, "f32", AVX2), ("unet", (1, 64, 64, 64), 32, 2, "f32", AVX2),
        ("unet", (1, 48, 64, 80), 16, 2, "bf16", ""), ("unet", (2, 48, 64, 64), 8, 2, "bf16", "")]
STEPS = 4


def run(command, threads, env):
    env = {**os.environ, "RAYON_NUM_THREADS": str(threads), **env}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def ours(program, row):
    model, (batch, *size), filters, threads, precision, instructions = row
    command = [program, "bench", os.path.join(HERE, "..", "..", "experiments", "quickstart.yaml"), "--device", "cpu",
               "--size", ",".join(map(str, size)), "--steps", str(STEPS), "--json"]
    for setting in (f"model={MODELS[model].format(filters, levels(model, size))}", "loss={sum: [dice, bce]}",
                    "optimizer={adam: {learning_rate: 0.001}}", f"train.batch_size={batch}", f"train.precision={precision}"):
        command += ["--set", setting]
    return run(command, threads, {"CALVARIA_INSTRUCTIONS": instructions.lower()} if instructions else {})


def theirs(row):
    model, shape, filters, threads, precision, instructions = row
    command = [sys.executable, os.path.join(HERE, "torch_step.py"), model, *map(str, shape), "--filters", str(filters),
               "--levels", str(levels(model, shape[1:])), "--norm", NORMS[model], "--steps", str(STEPS), "--precision", precision, "--threads", str(threads)]
    return run(command, threads, {**KEEP, **({"ONEDNN_MAX_CPU_ISA": instructions} if instructions else {})})


def name(row):
    model, shape, filters, threads, precision, instructions = row
    notes = [model, "x".join(map(str, shape)), f"{filters} filters", *(n for n in (precision, instructions) if n not in ("", "f32"))]
    return ", ".join(notes)


def measure(row, programs):
    """The middle result of each program, in the order of `programs`."""
    results = [[] for _ in programs]
    order = list(range(len(programs)))
    for i in order + order[::-1]:
        results[i].append(programs[i](row))
    assert len({r[0]["parameters"] for r in results}) == 1, f"{name(row)}: different numbers of parameters"
    return [{key: statistics.median(r[key] for r in of_program)
             for key in ("forward", "backward", "step", "inference", "peak_mib")} for of_program in results]


def line(row, results):
    own, torch, *before = results
    cells = [name(row), str(row[3])]
    cells += [f"{torch[key]:.3f} / {own[key]:.3f}" for key in ("forward", "backward")]
    cells += [f"{torch[key]:.3f} / {own[key]:.3f} = **{torch[key] / own[key]:.2f}**" for key in ("step", "inference")]
    cells += [f"{torch['peak_mib']:.0f} / {own['peak_mib']:.0f} = {own['peak_mib'] / torch['peak_mib']:.2f}"]
    cells += [f"{b['step'] / own['step']:.2f}, {b['inference'] / own['inference']:.2f}" for b in before]
    return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--before", help="an earlier build of the program")
    parser.add_argument("--only", default="", help="only the rows whose name has all of these words")
    args = parser.parse_args()
    programs = [lambda row: ours(args.program, row), theirs]
    head = ["network", "threads", "forward, s", "backward and Adam, s", "step, s", "inference, s", "peak, MiB"]
    if args.before:
        programs.append(lambda row: ours(args.before, row))
        head.append("build before: step, inference")
    rows = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    print(*rows, sep="\n", flush=True)
    for row in ROWS:
        if all(word in name(row) for word in args.only.split()):
            rows.append(line(row, measure(row, programs)))
            print(rows[-1], flush=True)
    import torch
    with open("/proc/cpuinfo") as file:
        cpu = re.search(r"model name\s*: (.*)", file.read())[1]
    rows += ["", f"PyTorch {torch.__version__} / calvaria; in bold how many times as fast calvaria is. {os.cpu_count()} cores of {cpu}, "
             f"{platform.system()}, {datetime.date.today()}."]
    print(*rows[-2:], sep="\n")
    if args.only:
        return
    readme = os.path.join(HERE, "..", "README.md")
    with open(readme) as file:
        old = file.read()
    with open(readme, "w") as file:
        file.write(re.sub(r"(<!-- step -->\n).*(\n<!-- /step -->)", lambda m: m[1] + "\n".join(rows) + m[2], old, flags=re.S))


if __name__ == "__main__":
    main()
