#!/usr/bin/env python3
"""Training of emotion heads on a corpus of IEMOCAP's size: all folds, seeds and layers.

    . path.sh; benchmarks/heads/run.py [--hours 7] [--layers 3] [--seeds 5] [--jobs 2]

Random bottlenecks (1024 wide; lengths as benchmarks/bottleneck) of ten speakers in five sessions are
written as a stage would, and egs/iemocap's s1 and pooled systems are trained on them by
local/train_emotion.py, as run.sh does: folds x seeds shared by the jobs, each of which reads the
features once.  Given are seconds of wall time a layer, and the peak of memory of a job.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from lhotse import CutSet, Features, MonoCut, SupervisionSegment
from lhotse.features.io import LilcomChunkyWriter

from sertools.asr.lfmmi_system import AsrConfig, make_model
from sertools.config import load_config, to_dict
from sertools.features.learned.bottlenecks import track_name
from sertools.lfmmi import Topology, TopologyConfig
from sertools.partitions.examples import Example
from sertools.partitions.folds import write_folds
from sertools.partitions.making import FoldsConfig, make_folds
from sertools.training.checkpoint import Checkpoint, save_checkpoint

ROOT = Path(__file__).parent.parent.parent
CLASSES = ("angry", "excited", "neutral", "sad")
LAYERS = ("tdnnf12", "tdnnf13", "tdnnf10")


def make_corpus(directory: Path, hours: float, layers: tuple[str, ...], width: int) -> int:
    """Cuts with bottlenecks whose mean has something of the class, and folds; returns the number of cuts."""
    generator = np.random.default_rng(1)
    directions = generator.normal(0, 0.1, (len(CLASSES), width))
    cuts, examples, total = [], [], 0.0
    with LilcomChunkyWriter(directory / "arrays.lca", tick_power=-8) as writer:
        while total < 3600 * hours:
            duration = float(np.clip(generator.lognormal(np.log(4.5) - 0.18, 0.6), 0.6, 34.0))
            frames, number = round(100 * duration), len(cuts)
            name, label, speaker = f"u{number:05d}", CLASSES[number % 4], number // 4 % 10
            total += frames / 100
            supervision = SupervisionSegment(
                name, name, 0.0, frames / 100, speaker=f"s{speaker}", custom={"corpus": "noise", "emotion": label}
            )
            features = Features(
                "noise", frames, 40, 0.01, 16000, 0.0, frames / 100, writer.name, writer.storage_path, "", name, 0
            )
            cut = MonoCut(name, 0.0, frames / 100, 0, [supervision], features)
            rows = -(-frames // 3)
            for layer in layers:
                values = generator.standard_normal((rows, width), dtype=np.float32)
                values += directions[number % 4].astype(np.float32)
                array = writer.store_array(f"{name}-{layer}", values, frame_shift=0.03, temporal_dim=0, start=0.0)
                cut = cut.with_custom(track_name(layer), array)
            cuts.append(cut)
            examples.append(Example(name, f"s{speaker}", f"Session{speaker // 2 + 1}", label))
    CutSet.from_cuts(cuts).to_file(directory / "cuts.jsonl.gz")
    folds = make_folds(FoldsConfig("noise", "paper"), examples, corpus="noise", classes=CLASSES)
    write_folds(directory / "folds", folds)
    return len(cuts)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--hours", type=float, default=7.0, help="of speech")
    arguments.add_argument("--layers", type=int, default=3, help="how many")
    arguments.add_argument("--seeds", type=int, default=5, help="of every fold")
    arguments.add_argument("--jobs", type=int, default=2, help="side by side, of one thread each")
    options = arguments.parse_args()
    layers = LAYERS[: options.layers]
    network = load_config(AsrConfig, ROOT / "egs/common/conf/lfmmi/tdnnf_1g.yaml")
    topology = TopologyConfig()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        model = make_model(network, Topology(topology, 3).num_pdfs)
        info = {"phones": ["a", "b", "c"], "silence": 1, "topology": to_dict(topology)}
        save_checkpoint(directory / "asr", Checkpoint(model.state_dict(), to_dict(network), info))
        started = time.monotonic()
        count = make_corpus(directory, options.hours, layers, network.model.trunk.hidden_dim)
        size = (directory / "arrays.lca").stat().st_size / 2**30
        print(f"{count} utterances, {options.hours:g} hours, {len(layers)} layers, {size:.1f} GiB on disk, "
              f"generated in {time.monotonic() - started:.0f} s", flush=True)  # fmt: skip
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        for system in ("pooled", "s1"):
            for layer in layers:
                started = time.monotonic()
                jobs = [
                    subprocess.Popen(
                        [
                            sys.executable, ROOT / "local/train_emotion.py",
                            "--config", ROOT / f"egs/common/conf/s1/{system}.yaml", "--set", f"model.layers=[{layer}]",
                            "--pretrained", directory / "asr", "--cuts", directory / "cuts.jsonl.gz",
                            "--folds", directory / "folds", "--num-seeds", str(options.seeds),
                            "--job", str(job), "--num-jobs", str(options.jobs), directory / f"{system}_{layer}",
                        ],
                        env=environment, stdout=subprocess.DEVNULL,
                    )
                    for job in range(1, options.jobs + 1)
                ]  # fmt: skip
                if any(job.wait() for job in jobs):
                    sys.exit("a training failed")
                seconds = time.monotonic() - started
                peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
                runs = 5 * options.seeds
                print(f"{system} on {layer}: {runs} trainings in {seconds:.0f} s with {options.jobs} jobs, "
                      f"{seconds / runs:.1f} s each; a job takes {peak:.0f} MiB at most", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
