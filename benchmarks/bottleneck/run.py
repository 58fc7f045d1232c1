#!/usr/bin/env python3
"""Bottleneck features of a corpus of IEMOCAP's size: three layers of the full TDNN-F, written.

    . path.sh; benchmarks/bottleneck/run.py [--hours 7] [--cores 1 2] [--layers tdnnf12,tdnnf13,prefinal]
    . path.sh; benchmarks/bottleneck/run.py --hours 0.1

Random features and i-vectors (lengths log-normal, mean 4.5 s, 0.6 to 34 s: 7 hours are about 5500
utterances) go through the network of egs/common/conf/lfmmi/tdnnf_1g.yaml with random weights.  With
several cores there is a job, a process, on each, as recipes do; a job, its writing included, is
bound to its core.  Given are input seconds a second, of the extraction alone and with the start of
the programs and the collecting of blocks, the shares of the network and of writing in the time of a
job, bytes on disk, and the peak of memory of a job.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
    if "AuthenticAMD" in cpuinfo.read():
        # the MKL in torch 1.13 takes slow code on AMD unless told otherwise; must be set before torch is loaded
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")

import numpy as np
import torch
from lhotse import CutSet, Features, MonoCut, SupervisionSegment
from lhotse.features.io import LilcomChunkyWriter

from sertools.asr.lfmmi_system import AsrConfig, make_model
from sertools.config import load_config, to_dict
from sertools.features.kind import Given
from sertools.features.learned.bottlenecks import BottleneckConfig, Bottlenecks
from sertools.features.pipeline import FeaturesConfig, collect_features, compute_features
from sertools.features.store import Archive, StoreConfig
from sertools.files import write_json
from sertools.lfmmi import Topology, TopologyConfig
from sertools.training.checkpoint import Checkpoint, save_checkpoint
from sertools.training.memory import keep_freed_memory

ROOT = Path(__file__).parent.parent.parent
PHONES = 42
MADE_WITH = {"mfcc": {"num_ceps": 40}}


def make_corpus(directory: Path, seconds: float) -> tuple[float, int]:
    """Write cuts of noise; their seconds and their number."""
    generator = np.random.default_rng(1)
    cuts, total = [], 0.0
    with LilcomChunkyWriter(directory / "features.lca", tick_power=-8) as features:
        with LilcomChunkyWriter(directory / "ivectors.lca", tick_power=-8) as ivectors:
            while total < seconds:
                # mean exp(mu + 0.6 ** 2 / 2) = 4.5 s
                duration = float(np.clip(generator.lognormal(np.log(4.5) - 0.18, 0.6), 0.6, 34.0))
                frames = round(100 * duration)
                name, duration = f"u{len(cuts):05d}", frames / 100
                values = generator.normal(0, 10, (frames, 40)).astype(np.float32)
                cut = MonoCut(
                    name, 0.0, duration, 0, [SupervisionSegment(name, name, 0.0, duration, speaker="s")],
                    Features("noise", frames, 40, 0.01, 16000, 0.0, duration, features.name, features.storage_path,
                             features.write(name, values), name, 0),
                )  # fmt: skip
                rows = generator.normal(0, 1, (-(-frames // 10), 100)).astype(np.float32)
                cut.ivector = ivectors.store_array(name, rows, frame_shift=0.1, temporal_dim=0, start=0.0)
                cuts.append(cut)
                total += duration
    CutSet.from_cuts(cuts).to_file(directory / "cuts.jsonl.gz")
    write_json(directory / "stamp.json", {"config": MADE_WITH, "inputs": {}, "outputs": {}})
    return total, len(cuts)


def make_checkpoint(directory: Path) -> None:
    """The full network with random weights; its norms see activations of about their statistics."""
    torch.manual_seed(0)
    config = load_config(AsrConfig, ROOT / "egs/common/conf/lfmmi/tdnnf_1g.yaml")
    topology = TopologyConfig("chain", "biphone")
    model = make_model(config, Topology(topology, PHONES).num_pdfs)
    model.set_activation_dtype(torch.float32)
    trunk = config.model.trunk
    model.trunk.set_input_statistics(
        torch.zeros(trunk.feature_dim + trunk.ivector_dim),
        torch.cat([torch.full((trunk.feature_dim,), 10.0), torch.ones(trunk.ivector_dim)]),
    )
    # as after training: running statistics of what goes through, so that values have the usual size
    model.train()
    for module in model.trunk.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = 1.0
    with torch.no_grad():
        model.trunk(10 * torch.randn(4, 300, trunk.feature_dim), torch.full((4,), 300), ["prefinal"],
                    torch.randn(4, trunk.ivector_dim))  # fmt: skip
    info = {
        "phones": [f"p{i}" for i in range(PHONES)],
        "silence": 1,
        "topology": to_dict(topology),
        "features": MADE_WITH,
    }
    save_checkpoint(directory, Checkpoint(model.state_dict(), to_dict(config), info))


def measure_parts(totals: dict[str, float]) -> None:
    """Let the network and the writing add their processor time, a thread each, to ``totals``."""

    def timed(cls: type, method: str, name: str) -> None:
        plain = getattr(cls, method)

        def wrapper(*arguments: Any) -> Any:
            start = time.thread_time()
            result = plain(*arguments)
            totals[name] += time.thread_time() - start
            return result

        setattr(cls, method, wrapper)

    timed(Bottlenecks, "_compute", "network")
    timed(Archive, "write", "writing")


def run_job(options: argparse.Namespace) -> None:
    """One job on one core; prints seconds, processor seconds, those of network and writing, and MiB."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[options.job - 1]})
    torch.set_num_threads(1)
    keep_freed_memory()
    totals = {"network": 0.0, "writing": 0.0}
    measure_parts(totals)
    start, processor = time.perf_counter(), time.process_time()
    compute_features(options.folder / "cuts.jsonl.gz", options.folder / options.out, config_of(options),
                     given(options), job=options.job, num_jobs=options.num_jobs)  # fmt: skip
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(seconds, processor, totals["network"], totals["writing"], peak)


def given(options: argparse.Namespace) -> Given:
    return Given({"pretrained": options.folder / "model"})


def config_of(options: argparse.Namespace) -> FeaturesConfig:
    store = StoreConfig(block_minutes=options.block_minutes, tick_power=options.tick_power)
    return FeaturesConfig(BottleneckConfig(tuple(options.layers.split(",")), options.batch_frames), store)


def measure(options: argparse.Namespace, cores: int, total: float) -> None:
    """Extract with a job a core, and print what it took."""
    options.out = f"out-{cores}"
    again = [f"--{name.replace('_', '-')}={getattr(options, name)}"
             for name in ("layers", "batch_frames", "tick_power", "block_minutes", "folder", "out")]  # fmt: skip
    start = time.perf_counter()
    jobs = [
        subprocess.Popen([sys.executable, __file__, *again, f"--job={job}", f"--num-jobs={cores}"],
                         stdout=subprocess.PIPE, text=True)
        for job in range(1, cores + 1)
    ]  # fmt: skip
    results = [job.communicate()[0] for job in jobs]
    if any(job.returncode for job in jobs):
        sys.exit("a job failed")
    collect_features(options.folder / "cuts.jsonl.gz", options.folder / options.out, config_of(options), given(options))
    everything = time.perf_counter() - start
    values = np.array([[float(value) for value in result.split()] for result in results])
    seconds, processor, network, writing, peak = values.T
    size = sum(path.stat().st_size for path in (options.folder / options.out).iterdir())
    print(f"{cores} cores: {total / seconds.max():.0f} input seconds a second ({total / everything:.0f} with start and "
          f"collecting; {total / processor.sum():.0f} a second of processor time)")  # fmt: skip
    print(f"  of the processor time: network {100 * network.sum() / processor.sum():.0f} %, writing "
          f"{100 * writing.sum() / processor.sum():.0f} %; {size / 1e6:.0f} MB on disk "
          f"({size / total / 1e6 * 3600:.0f} MB an hour), peak of memory of a job {peak.max():.0f} MiB")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=7.0)
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--layers", default="tdnnf12,tdnnf13,prefinal")
    parser.add_argument("--batch-frames", type=int, default=BottleneckConfig.batch_frames)
    parser.add_argument("--tick-power", type=int, default=StoreConfig.tick_power)
    parser.add_argument("--block-minutes", type=float, default=StoreConfig.block_minutes)
    for name, kind in (("--job", int), ("--num-jobs", int), ("--folder", Path), ("--out", str)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        run_job(options)
        return
    with tempfile.TemporaryDirectory() as name:
        options.folder = Path(name)
        total, count = make_corpus(options.folder, 3600 * options.hours)
        make_checkpoint(options.folder / "model")
        print(f"torch {torch.__version__}, {count} utterances, {total / 3600:.2f} h, layers {options.layers}, "
              f"batches of {options.batch_frames} frames, tick_power {options.tick_power}")  # fmt: skip
        for cores in options.cores:
            measure(options, cores, total)


if __name__ == "__main__":
    main()
