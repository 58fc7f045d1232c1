#!/usr/bin/env python3
"""Latency and real-time factor of `sertools predict`, with 1, some and all runs of an experiment.

    . path.sh; benchmarks/predict/run.py EXPERIMENT [--members fold_*/seed_1 all] [--minutes 60] [--threads 1]

Of a utterance of 3 s (a FLAC file of noise at 16 kHz; the networks' time does not depend on what is
said) the median, and the 95th percentile, of the time from the file to probabilities, with and without
the course.  Of a recording (--minutes) the real-time factor, seconds of computing for a second of
speech, with the course, and how far it raises the peak of memory.  Of a fresh process: seconds to
import, to load, and of the whole program with one utterance, the best of 5, as that is what is left
when the machine is busy with other things.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
    if "AuthenticAMD" in cpuinfo.read():
        # the MKL in torch 1.13 takes slow code on AMD unless told otherwise; must be set before torch is loaded
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")

import numpy as np
import soundfile
import torch

from sertools.prediction.apply import CourseConfig, load_emotion

RATE = 16000
COLD = """
import sys, time
start = time.perf_counter()
from sertools.prediction.apply import load_emotion
imported = time.perf_counter()
load_emotion(sys.argv[1], sys.argv[2])
print(imported - start, time.perf_counter() - imported)
"""


def make_speech(path: Path, seconds: float) -> None:
    """Noise whose loudness goes up and down as syllables do."""
    generator = np.random.default_rng(1)
    with soundfile.SoundFile(path, "w", RATE, 1) as audio:
        for _ in range(max(1, round(seconds / 3))):
            loudness = 0.1 * np.abs(np.sin(np.arange(3 * RATE) * 4 * np.pi / RATE))
            audio.write(loudness * generator.normal(0, 1, 3 * RATE))


def measure(experiment: Path, members: str, short: Path, long: Path, minutes: float) -> None:
    """Latency and real-time factor in this process."""
    model = load_emotion(experiment, members)
    words = f"{len(model.members):3} members"
    for title, course in (("", None), (" with course", CourseConfig())):
        model.predict(short, course)
        times = []
        for _ in range(30):
            start = time.perf_counter()
            model.predict(short, course)
            times.append(1000 * (time.perf_counter() - start))
        print(f"{words}: 3 s{title}: median {np.median(times):.1f} ms, 95 % {np.percentile(times, 95):.1f} ms")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, processor = time.perf_counter(), time.process_time()
    model.predict(long, CourseConfig())
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{words}: {minutes:g} minutes: {seconds:.1f} s, real-time factor {seconds / (60 * minutes):.5f} "
          f"({processor / (60 * minutes):.5f} of processor time), {more:.0f} MiB more than with 3 s")  # fmt: skip


def measure_cold(experiment: Path, members: str, short: Path) -> None:
    """A fresh process."""
    parts, whole = [], []
    for _ in range(5):
        told = subprocess.run([sys.executable, "-c", COLD, str(experiment), members], capture_output=True, check=True)
        parts.append([float(value) for value in told.stdout.split()])
        start = time.perf_counter()
        command = ["-m", "sertools", "predict", "--experiment", str(experiment), "--members", members, str(short)]
        subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True)
        whole.append(time.perf_counter() - start)
    imported, loaded = np.array(parts).min(0)
    print(f"fresh process, {members}: import {imported:.2f} s, load {loaded:.2f} s, "
          f"program with an utterance of 3 s {min(whole):.2f} s")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--members", nargs="+", default=["fold_*01*/seed_1", "fold_*/seed_1", "all"])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} threads, {options.experiment.name}")
    with tempfile.TemporaryDirectory() as name:
        short, long = Path(name, "short.flac"), Path(name, "long.flac")
        make_speech(short, 3)
        make_speech(long, 60 * options.minutes)
        for members in options.members:
            measure(options.experiment, members, short, long, options.minutes)
            measure_cold(options.experiment, members, short)


if __name__ == "__main__":
    main()
