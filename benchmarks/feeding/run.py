#!/usr/bin/env python3
"""How fast batches reach a consumer that does nothing: from memory, and read from disk by worker processes.

    . path.sh; benchmarks/feeding/run.py [--utterances 2000] [--batch-frames 60000] [--workers 0 1 2]

Utterances of 1.5 to 12 seconds, 40 coefficients in lilcom, i-vectors of 100, targets of LF-MMI as in benchmarks/tdnnf,
grouped by length; the batches are those that training gets, from the same loader.  Given are frames a second without
padding, by the clock, the share of padding, and frames a second of one core's time, of this process and its workers:
by it one can tell how many cores a faster consumer needs.
"""

import argparse
import importlib.util
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from sertools.asr.graphs import Numerators
from sertools.data.reader import Reader
from sertools.data.transcribed import DataConfig, epoch_batches


def seconds_of_processors() -> float:
    """Of this process and those of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=2000)
    parser.add_argument("--batch-frames", type=int, default=60000)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location("tdnnf", Path(__file__).parents[1] / "tdnnf/run.py")
    assert spec is not None
    assert spec.loader is not None
    other = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(other)
    lengths = [int(n) for n in np.random.default_rng(1).integers(150, 1200, options.utterances)]
    with tempfile.TemporaryDirectory() as folder:
        entries = other.corpus(Path(folder), lengths, 2)
        target = Numerators(*other.graphs_of(entries))
        for name, memory, workers in [("memory", 64.0, 0), *(("disk", 0.0, count) for count in options.workers)]:
            reader = Reader(entries, memory)
            config = DataConfig(batch_frames=options.batch_frames, memory_gb=memory, workers=workers)
            rounds = 2 if name == "memory" else 1  # the first one reads
            for epoch in range(1, rounds + 1):
                batches = epoch_batches(reader, target, config, 2, 1, epoch)
                start, used, frames, cells = time.perf_counter(), seconds_of_processors(), 0, 0
                for batch in batches.load(0, workers, False):
                    frames += int(batch.lengths.sum())
                    cells += batch.features.shape[0] * batch.features.shape[1]
                seconds, used = time.perf_counter() - start, seconds_of_processors() - used
            padding = 100 * (1 - frames / cells)
            print(f"{name}, {workers} workers: {frames / seconds:,.0f} frames a second, {padding:.1f} % padding, "
                  f"{frames / used:,.0f} a second of one core", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
