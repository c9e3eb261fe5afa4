"""What comparisons share that train a peer for a given time: the loop, the settings, steps in processes of their own.

The time of a training counts from its first iteration to its last, with augmentation, and without preprocessing and
prediction.  Instead of a time a number of iterations can be given: so one training can be timed on a quiet machine, and
others do the same work on a busy one.  Or minutes of the processor, of all threads together, which do not depend on what
else runs; with them there are no augmentation processes.
"""
import json
import os
import platform
import re
import resource
import signal
import statistics
import subprocess
import sys
import time

# glibc keeps freed memory (its faster way).
KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}


def read(path):
    with open(path) as file:
        return json.load(file)


def write(path, content):
    """Writes all of a file or nothing, so that a file that is there is whole."""
    with open(path + ".part", "w") as file:
        json.dump(content, file, indent=1)
    os.replace(path + ".part", path)


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())[1]
    return f"{os.cpu_count()} cores of {model}, {platform.system()}"


def versions(packages):
    from importlib.metadata import version
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def peak_mib():
    """The most main memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def add_arguments(parser, minutes):
    parser.add_argument("--minutes", type=float, default=minutes, help="wall time of a training")
    parser.add_argument("--cpu-minutes", type=float, default=0, help="processor time of a training, instead of minutes")
    parser.add_argument("--iterations", type=int, default=0, help="iterations of a training, instead of minutes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="augmentation processes")


def settings(a, **more):
    """What decides a result."""
    if a.cpu_minutes and a.workers:
        sys.exit("--cpu-minutes does not count what --workers use: take one of them")
    names = [name for name in ("iterations", "cpu_minutes", "minutes") if getattr(a, name)]
    length = {names[0]: getattr(a, names[0])}
    return {**length, "threads": a.threads, "workers": a.workers, **more}


def length(settings):
    """How long a training is, in words."""
    if settings.get("iterations"):
        return f"{settings['iterations']} iterations"
    of_processor = " of the processor" if settings.get("cpu_minutes") else ""
    return f"{settings.get('cpu_minutes') or settings['minutes']:g} minutes{of_processor}"


def begin(folder, settings):
    """Makes a folder of results, or ends the program where it has results of other settings."""
    # So that `run` can end its workers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    os.makedirs(folder, exist_ok=True)
    started = os.path.join(folder, "settings.json")
    if not os.path.exists(started):
        write(started, settings)
    elif read(started) != settings:
        sys.exit(f"{folder} was begun with {read(started)}, not with {settings}. Take another work folder, or remove it.")


def run(threads, env, *step):
    """Runs a step of the program in a process, and ends the workers that it leaves behind."""
    env = {**os.environ, **KEEP, "OMP_NUM_THREADS": str(threads), **env}
    child = subprocess.Popen([sys.executable, *sys.argv, *step], env=env, start_new_session=True)
    try:
        if child.wait() != 0:
            sys.exit(f"{' '.join(step)} failed")
    finally:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def train(step, settings, log=print):
    """Trains, and tells how that went.

    `step(part)` does an iteration and returns its loss; `part`, from 0 to 1, is how much of the training is done.
    """
    iterations, seconds = settings.get("iterations", 0), (settings.get("cpu_minutes") or settings.get("minutes", 0)) * 60
    clock = time.process_time if settings.get("cpu_minutes") else time.perf_counter
    load = os.getloadavg()[1]
    losses, took = [], []
    cpu = time.process_time()
    begun, start = time.perf_counter(), clock()
    last = logged = start
    while True:
        if iterations:
            done, end = len(losses), iterations
        else:
            # The last iteration is the one that ends nearest to the time.
            done, end = last - start, seconds - (statistics.median(took) / 2 if took else 0)
        if done >= end:
            break
        losses.append(step(done / (iterations or seconds)))
        now = clock()
        took.append(now - last)
        last = now
        if last - logged >= 60:
            logged = last
            log(f"iteration {len(losses)}, {last - start:.0f} s, loss {statistics.mean(losses[-20:]):.4f}, "
                f"{statistics.median(took[-20:]):.3f} s an iteration")
    tenth = max(1, len(losses) // 10)
    return {"seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - cpu, "iterations": len(losses),
            "median_iteration_s": statistics.median(took), "peak_mib": peak_mib(),
            "first_losses": statistics.mean(losses[:tenth]), "last_losses": statistics.mean(losses[-tenth:]),
            "load_average_before": load, "load_average_after": os.getloadavg()[1]}
