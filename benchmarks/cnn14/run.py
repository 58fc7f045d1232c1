#!/usr/bin/env python3
"""Cnn14 beside the original's arithmetic in plain torch modules: the same weights and batch, in one run.

    benchmarks/cnn14/run.py [--part train infer logmel memory plan] [--rounds 3] [--width 64]
    benchmarks/cnn14/run.py --device cuda --batch 8

train: a step of S5 (8 x 3 s, Nesterov); infer: whole segments of --seconds; both also with channels last, and with
bfloat16.  All run in turn in every round, each being first in its turn; the median is given, on a CPU in processor
time.  logmel: our log-mel beside
our MFCC, on noise.  memory: the most memory that reading a corpus of --hours takes, out of a manifest made up for it,
with data.memory_gb as in conf/s5/cnn14.yaml.  plan: what a whole S5 run needs, computed from multiply-adds.
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
    if "AuthenticAMD" in cpuinfo.read():
        # the MKL in torch 1.13 takes slow code on AMD unless told otherwise; must be set before torch is loaded
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")

import torch
from lhotse import MonoCut, Recording, SupervisionSegment
from lhotse.array import Array, TemporalArray
from lhotse.audio import AudioSource
from lhotse.features.io import NumpyFilesWriter
from plain import PlainCnn14
from torch import Tensor

from sertools.emotion.data import Reading, load_utterances
from sertools.features.frames.logmel import NAME, Logmel, LogmelConfig
from sertools.features.frames.mfcc import Mfcc, MfccConfig
from sertools.manifests import write_cuts
from sertools.models.cnn14 import Cnn14, Cnn14Config
from sertools.training.precision import autocast

FRAMES = 301
MULTIPLY_ADDS = 5.936e9
"""Of 3 s through the network at its size."""
PARTS = ("train", "infer", "logmel", "memory", "plan")


def timed(systems: dict[str, Callable[[], object]], rounds: int, device: str) -> dict[str, float]:
    """Median seconds of each, all in turn in every round, the first of which warms up; each begins in its turn."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in systems}
    for number in range(rounds + 1):
        first = number % len(systems)
        for name, run in [*list(systems.items())[first:], *list(systems.items())[:first]]:
            start = clock()
            run()
            if device != "cpu":
                torch.cuda.synchronize()
            if number:
                times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def models(width: int, device: str) -> dict[str, tuple[torch.nn.Module, torch.dtype]]:
    """The original's, ours, and ours in other formats; all with the same weights."""
    torch.manual_seed(0)
    plain = PlainCnn14(3, width)
    made: dict[str, tuple[torch.nn.Module, torch.dtype]] = {"plain torch modules": (plain, torch.float32)}
    for name, dtype in (
        ("sertools", torch.float32),
        ("sertools, channels last", torch.float32),
        ("sertools, bfloat16", torch.bfloat16),
        ("sertools, channels last, bfloat16", torch.bfloat16),
    ):
        ours = Cnn14(Cnn14Config(width=width), 3)
        ours.load_state_dict(plain.state_dict(), strict=True)
        if "last" in name:
            ours = ours.to(memory_format=torch.channels_last)
        made[name] = (ours, dtype)
    return {name: (model.to(device), dtype) for name, (model, dtype) in made.items()}


def stepper(model: torch.nn.Module, dtype: torch.dtype, batch: Tensor, labels: Tensor) -> Callable[[], None]:
    """A training step."""
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9, nesterov=True)
    model.train()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(dtype, batch.device):
            outputs = model(batch)
        torch.nn.functional.cross_entropy(outputs.float(), labels).backward()
        optimizer.step()

    return step


def applier(model: torch.nn.Module, dtype: torch.dtype, batch: Tensor) -> Callable[[], Tensor]:
    """Outputs of a batch, in evaluation mode."""

    @torch.no_grad()
    def apply() -> Tensor:
        model.eval()
        with autocast(dtype, batch.device):
            return model(batch).float()

    return apply


def show(title: str, times: dict[str, float], unit: float, of: str) -> None:
    """A table, against the first."""
    base = next(iter(times.values()))
    print(f"\n{title}\n| | seconds | of the first | {of} |\n|---|---|---|---|")
    for name, value in times.items():
        print(f"| {name} | {value:.3f} | {value / base:.2f} | {unit / value:.1f} |")


def networks(options: argparse.Namespace) -> None:
    """Parts train and infer."""
    device, size = options.device, options.batch
    generator = torch.Generator().manual_seed(1)
    made = models(options.width, device)
    batch = (torch.randn(size, FRAMES, 64, generator=generator) * 20 - 40).to(device)
    labels = torch.randint(3, (size,), generator=generator).to(device)
    outputs = {name: applier(model, dtype, batch[:2])() for name, (model, dtype) in made.items()}
    first = next(iter(outputs.values()))
    for name, found in outputs.items():
        print(f"outputs of {name} differ by {float((found - first).norm() / first.norm()):.1e}, relative")
    if "infer" in options.part:
        whole = (torch.randn(1, 100 * options.seconds + 1, 64, generator=generator) * 20 - 40).to(device)
        times = timed({n: applier(m, d, whole) for n, (m, d) in made.items()}, options.rounds, device)
        show(f"Inference, a segment of {options.seconds} s", times, options.seconds, "times real time")
    if "train" in options.part:
        for name in list(made):  # one at a time: each has gradients and momentum of its own
            if device == "cpu" and name not in options.formats:
                del made[name]
        times = timed({n: stepper(m, d, batch, labels) for n, (m, d) in made.items()}, options.rounds, device)
        show(f"A training step, {size} x 3 s", times, 3 * size, "times real time")


def front_ends(options: argparse.Namespace) -> None:
    """Part logmel."""
    waves = [torch.randn(16000 * n) * 0.1 for n in (2, 3, 4, 5) * 10]
    seconds = sum(map(len, waves)) / 16000
    logmel, mfcc = Logmel(LogmelConfig()), Mfcc(MfccConfig(engine="kaldifeat"))
    lhotses = Mfcc(MfccConfig(engine="lhotse"))
    systems: dict[str, Callable[[], object]] = {
        "MFCC, engine kaldifeat": lambda: [mfcc.extract(w.numpy(), 16000) for w in waves],
        "MFCC, engine lhotse": lambda: [lhotses.extract(w.numpy(), 16000) for w in waves],
        "log-mel": lambda: [logmel(w) for w in waves],
    }
    show(f"Front ends, {seconds:.0f} s of audio", timed(systems, options.rounds, "cpu"), seconds, "times real time")


def memory(options: argparse.Namespace) -> None:
    """Part memory: the manifest has segments of 6 s that share one stored array."""
    count = round(options.hours * 600)
    with tempfile.TemporaryDirectory() as folder:
        with NumpyFilesWriter(folder) as writer:
            key = writer.write("one", torch.zeros(601, 64).numpy())
            stored = Array(writer.name, writer.storage_path, key, [601, 64])

        def cut(number: int) -> MonoCut:
            name = f"MSP-PODCAST_{number // 100:04d}_{number % 100:04d}"
            recording = Recording(name, [AudioSource("file", [0], f"/corpus/{name}.wav")], 16000, 96000, 6.0)
            custom = {"split": "train", "session": name[12:16], "arousal": 4.0, "corpus": "msp_podcast"}
            segment = SupervisionSegment(name, name, 0.0, 6.0, speaker=name[12:16], custom=custom)
            made = MonoCut(name, 0.0, 6.0, 0, recording=recording, supervisions=[segment])
            made.custom = {NAME: TemporalArray(stored, 0, 0.01, 0.0)}
            return made

        path = Path(folder) / "cuts.jsonl.gz"
        write_cuts((cut(number) for number in range(count)), path)
        labels = {f"MSP-PODCAST_{n // 100:04d}_{n % 100:04d}": n % 3 for n in range(count)}
        before = peak()
        found = load_utterances(path, labels, Reading((NAME,), memory_gb=options.memory_gb))
        listed = peak()
        for number, utterance in enumerate(found.values()):
            assert utterance.features.shape == (601, 64)
            if number > 12000:  # twenty hours: more than there is room for
                break
    print(
        f"\n{options.hours} h, {count} utterances: {before:.2f} GB before, {listed:.2f} GB with all utterances known, "
        f"{peak():.2f} GB with {options.memory_gb} GB of spectra kept"
    )


def peak() -> float:
    """Most memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def plan() -> None:
    """Part plan: S5's Table 1 and its figures from multiply-adds."""
    steps, epochs = 38179 / 8, 60
    forward = 2 * MULTIPLY_ADDS * 8
    full, frozen = 3 * forward * steps * epochs, forward * steps * epochs
    segments = (7538 + 12902) * 5.7 / 3 * 2 * MULTIPLY_ADDS * epochs  # dev and test at every epoch
    voxceleb = 100 * (138361 / 8 * 3 * forward + 6904 * 8.2 / 3 * 2 * MULTIPLY_ADDS)
    total = 9 * (full + segments) + 5 * (frozen + segments) + 16 * (full + segments) + voxceleb
    print("\nA whole S5 run, in floating-point operations")
    for name, value in (
        ("all layers, one network: 60 epochs", full),
        ("linear only, one network", frozen),
        ("dev and test at every epoch, one network", segments),
        ("VoxCeleb1, 100 epochs", voxceleb),
        ("Table 1 (6 all layers, 5 linear only), 3 sources, VoxCeleb1, 16 from bands", total),
    ):
        hours = {rate: value / rate / 1e12 / 3600 for rate in (20, 100)}
        print(f"| {name} | {value:.2g} | {hours[20]:.1f} h at 20 TFLOP/s | {hours[100]:.1f} h at 100 TFLOP/s |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=10, help="of the segment of inference")
    parser.add_argument("--hours", type=int, default=350)
    parser.add_argument("--memory-gb", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--formats", nargs="+", default=["plain torch modules", "sertools", "sertools, channels last"],
        help="what is trained on a CPU",
    )  # fmt: skip
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if "memory" in options.part:
        memory(options)
    if {"train", "infer"} & set(options.part):
        networks(options)
    if "logmel" in options.part:
        front_ends(options)
    if "plan" in options.part:
        plan()


if __name__ == "__main__":
    main()
