"""Training steps and inference of a plain 3-D U-Net: calvaria against PyTorch on the CPU, side by side.

    python step.py BENCH

BENCH is the program of `cargo bench --bench training_step --no-run`.  Every measurement is a process of its
own; both programs run in turn, in both orders, and the median of their medians counts.  PyTorch runs with
the allocator kept warm (its faster way): glibc keeps freed memory, as calvaria tells it to by itself.
The table goes to standard output and into ../README.md between its markers.
"""
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
# N D H W filters, steps, threads
CASES = [((1, 48, 64, 80, 16), 10, (2, 1)), ((2, 48, 64, 64, 8), 10, (2,)), ((1, 64, 64, 64, 32), 10, (2, 1)),
         ((1, 96, 128, 160, 16), 10, (2, 1))]


def run(command, threads, env={}):
    env = {**os.environ, "RAYON_NUM_THREADS": str(threads), **env}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main(bench):
    rows = []
    for shape, steps, all_threads in CASES:
        numbers = [str(n) for n in shape]
        for threads in all_threads:
            def ours():
                return run([bench, *numbers, str(steps)], threads)

            def theirs():
                r = run([sys.executable, os.path.join(HERE, "torch_step.py"), *numbers, "--iters", str(steps),
                         "--threads", str(threads)], threads, KEEP)
                return {**r, "peak_mib": r["peak_rss_gib"] * 1024}

            results = {"calvaria": [], "torch": []}
            for first, second in ((ours, theirs), (theirs, ours)):
                for measure in (first, second):
                    r = measure()
                    results["torch" if "torch" in r else "calvaria"].append(r)
            torch = results["torch"][0]["torch"]
            assert results["torch"][0]["parameters"] == results["calvaria"][0]["parameters"]

            def middle(name, key):
                return statistics.median(r[key] for r in results[name])
            cells = []
            for key in ("forward_s", "backward_and_step_s", "step_s", "inference_s"):
                a, b = middle("torch", key), middle("calvaria", key)
                cells.append(f"{a:.3f} / {b:.3f}" + (f" = **{a / b:.2f}**" if key in ("step_s", "inference_s") else ""))
            memory = f"{middle('torch', 'peak_mib'):.0f} / {middle('calvaria', 'peak_mib'):.0f}"
            rows.append(f"| {'x'.join(numbers[:4])}, {numbers[4]} | {threads} | {' | '.join(cells)} | {memory} |")
            print(rows[-1], flush=True)
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())[1]
    text = "\n".join([
        "| input, filters | threads | forward, s | backward and Adam, s | step, s | inference, s | peak, MiB |", "|---|---|---|---|---|---|---|",
        *rows, "", f"PyTorch {torch} / calvaria; in bold how many times as fast calvaria is. {os.cpu_count()} cores of {model}, "
        f"{platform.system()}, {datetime.date.today()}."])
    readme = os.path.join(HERE, "..", "README.md")
    with open(readme) as file:
        old = file.read()
    with open(readme, "w") as file:
        file.write(re.sub(r"(<!-- step -->\n).*(\n<!-- /step -->)", lambda m: m[1] + text + m[2], old, flags=re.S))


if __name__ == "__main__":
    main(sys.argv[1])
