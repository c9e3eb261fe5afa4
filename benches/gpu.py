"""The table of `gpu.sh`: training steps and predictions, calvaria against PyTorch, process by process."""
import datetime
import json
import os
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = [((96, 128, 160), (1, 2, 4)), ((128, 128, 128), (2,))]
# On the CPU, to try the script.
SMALL = [((64, 64, 64), (1,))]
MODELS = {"article": "{article: {}}", "unet": "{unet: {filters: 16, levels: 5, norm: instance}}", "nnunet": "{nnunet: {}}"}
STEPS = 10


def used(device):
    """MiB of the memory of the GPU `cuda:INDEX` that is in use, as NVIDIA's driver tells; None where it does not."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", device.partition(":")[2] or "0"]
    try:
        told = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    except OSError:
        return None
    return float(told) if device.startswith("cuda") and told.isdigit() else None


def run(device, command, **options):
    """The last line's JSON with the peak of GPU memory above what was in use before, or why there is none."""
    before = used(device)
    process = subprocess.Popen(command, **options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak, done = [None], threading.Event()

    def watch():
        while not done.wait(0.2):
            now = used(device)
            if now is not None and before is not None:
                peak[0] = max(peak[0] or 0.0, now - before)
    watcher = threading.Thread(target=watch)
    watcher.start()
    out, err = process.communicate()
    done.set()
    watcher.join()
    if process.returncode != 0:
        return {"failed": (err.strip().splitlines() or ["?"])[-1]}
    result = json.loads(out.strip().splitlines()[-1])
    return {**result, "memory": result.get("peak_mib") if device == "cpu" else peak[0]}


def ours(program, device, model, size, batch, precision, starts):
    """Several starts, of which the first finds nothing compiled and tuned, and the others what it left."""
    experiment = os.path.join(os.path.dirname(HERE), "experiments", "quickstart.yaml")
    command = [program, "bench", experiment, "--device", device, "--size", ",".join(map(str, size)), "--json",
               "--steps", str(STEPS), "--set", f"model={MODELS[model]}", "--set", "loss={sum: [dice, bce]}",
               "--set", "optimizer={adam: {learning_rate: 0.001}}", "--set", f"train.batch_size={batch}",
               "--set", f"train.precision={precision}"]
    with tempfile.TemporaryDirectory() as folder:
        # CubeCL's cache, and that of NVIDIA's driver.
        env = {**os.environ, "XDG_CACHE_HOME": folder, "CUDA_CACHE_PATH": os.path.join(folder, "cuda")}
        return [run(device, command, cwd=folder, env=env) for _ in range(starts)]


def theirs(device, model, size, batch, precision):
    return run(device, [sys.executable, os.path.join(HERE, "peers", "torch_step.py"), model, str(batch), *map(str, size),
                "--device", device, "--precision", precision, "--steps", str(STEPS), "--channels-last"])


def cell(result, *keys):
    if "failed" in result:
        return "failed"
    return " / ".join("-" if result.get(key) is None else f"{result[key]:.3g}" for key in keys)


def main(program, device):
    cpu = device == "cpu"
    try:
        import torch
        version = torch.__version__
        precisions = ["f32", "bf16"] if cpu else ["f32", "tf32", "bf16"]
    except ImportError:
        version, precisions = "none", []
    peer_device = device if device.startswith("cuda") else "cpu"
    listed = subprocess.run([program, "devices"], capture_output=True, text=True).stdout
    chosen = [line for line in listed.splitlines() if line.startswith(device)]
    print(f"{' '.join(chosen)}; {subprocess.run([program, '--version'], capture_output=True, text=True).stdout.strip()}; "
          f"PyTorch {version}; {datetime.date.today()}. Training step / prediction in s, memory in MiB.\n")
    head = ["model", "batch, size", "calvaria f32", "memory", "first step, cold / warm caches", "calvaria bf16", "memory"]
    for precision in precisions:
        head += [f"PyTorch {precision}", "memory", "its step / ours"]
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|", flush=True)
    failures = []
    for model in MODELS:
        for size, batches in SMALL if cpu else SIZES:
            for batch in batches:
                cold, warm = ours(program, device, model, size, batch, "f32", 2)
                [half] = ours(program, device, model, size, batch, "bf16", 1)
                row = [model, f"{batch}, {'x'.join(map(str, size))}", cell(warm, "step", "inference"), cell(warm, "memory"),
                       f"{cell(cold, 'first_step')} / {cell(warm, 'first_step')}", cell(half, "step", "inference"), cell(half, "memory")]
                results = [warm, half]
                for precision in precisions:
                    peer = theirs(peer_device, model, size, batch, precision)
                    own = half if precision == "bf16" else warm
                    both = "failed" not in peer and "failed" not in own
                    if both and peer["parameters"] != own["parameters"]:
                        sys.exit(f"{model}: {peer['parameters']} parameters in PyTorch, {own['parameters']} in calvaria")
                    row += [cell(peer, "step", "inference"), cell(peer, "memory"), f"**{peer['step'] / own['step']:.2f}**" if both else "-"]
                    results.append(peer)
                print("| " + " | ".join(row) + " |", flush=True)
                failures += [f"{row[0]} {row[1]}: {r['failed']}" for r in results if "failed" in r]
    print("\n" + "\n".join(failures))


if __name__ == "__main__":
    main(*sys.argv[1:])
