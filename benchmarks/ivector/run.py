#!/usr/bin/env python3
"""I-vectors at Kaldi's size (512 Gaussians, dimension 100): extraction, accumulation, update, UBM.

    . path.sh; benchmarks/ivector/run.py AUDIO_FOLDER [--rounds 5] [--threads 1] [--device cpu]
    . path.sh; benchmarks/ivector/run.py AUDIO_FOLDER --memory

AUDIO_FOLDER holds 16 kHz audio (wav, flac), a folder a speaker; the first 15 minutes are used, or
with --actors 01 02 07 12 just those of RAVDESS, which is what Kaldi was timed on.  Kaldi's times
cannot be measured in the same run (there is no Kaldi here): those printed beside are of the same
240 utterances on one core of the same kind of machine.  --memory trains on the corpus repeated
1, 2, 4 and 8 times, each in a process of its own, and gives the peak of memory.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import soundfile
import torch
from lhotse import CutSet, Recording, SupervisionSegment
from torch import Tensor

from sertools.config import from_dict
from sertools.features.frames.mfcc import Mfcc, MfccConfig
from sertools.features.ivector import extractor_training, ubm_training
from sertools.features.ivector.config import IvectorConfig
from sertools.features.ivector.extraction import ExtractionConfig, extract
from sertools.features.ivector.extractor_training import ExtractorConfig, ExtractorStatistics
from sertools.features.ivector.frames import Frames
from sertools.features.ivector.frontend import CmvnConfig, Frontend, ScatterStatistics, pca, splice
from sertools.features.ivector.model import IvectorModel
from sertools.features.ivector.training import train_ivector
from sertools.features.ivector.ubm import PosteriorConfig
from sertools.features.ivector.ubm_training import UbmConfig, UbmStatistics
from sertools.features.pipeline import FeaturesConfig, collect_features, compute_features

# seconds, one core, the same 240 utterances
KALDI = {
    "extraction": 4.2,
    "accumulation, an iteration": 3.9,
    "update, an iteration": 2.8,
    "UBM, 256 to 512, 6 iterations": 27.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--actors", nargs="*", default=[], help="only the folders that end in these")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--repeat", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    paths = audio(options.folder, options.actors, options.minutes)
    if options.repeat:
        train_repeated(paths, options.repeat, options.threads)
    elif options.memory:
        memory(options)
    else:
        speed(paths, options.rounds, options.threads, options.device)


def audio(folder: Path, actors: Sequence[str], minutes: float) -> list[Path]:
    paths: list[Path] = []
    seconds = 0.0
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".wav", ".flac")):
        if actors and not path.parent.name.endswith(tuple(actors)):
            continue
        if not actors and seconds > 60 * minutes:
            break
        paths.append(path)
        seconds += soundfile.info(path).duration
    return paths


def speed(paths: list[Path], rounds: int, threads: int, device: str) -> None:
    extractor = Mfcc(MfccConfig(snip_edges=True))
    speakers: dict[str, list[Tensor]] = {}
    for path in paths:
        samples, rate = soundfile.read(path, dtype="float32")
        speakers.setdefault(path.parent.name, []).append(torch.from_numpy(extractor.extract(samples, rate)))
    utterances = [u for own in speakers.values() for u in own]
    seconds = sum(map(len, utterances)) / 100
    model, sample = a_model(utterances)
    posteriors = PosteriorConfig()

    def wait() -> None:
        if device != "cpu":
            torch.cuda.synchronize()

    def extraction() -> None:
        for own in speakers.values():
            extract(model, own, ExtractionConfig(), device=device)

    statistics_: list[ExtractorStatistics] = []

    def accumulation() -> None:
        total = ExtractorStatistics.zeros(model.extractor)
        for first in range(0, len(utterances), 60):
            frames = Frames.of(utterances[first : first + 60], device)
            as_they_are, normalised = model.frontend(frames)
            post = model.ubm.scorer(normalised).posteriors(normalised, posteriors)
            extractor_training.accumulate(total, model.extractor, Frames(as_they_are, frames.lengths), post)
        statistics_[:] = [total]

    def update() -> None:
        extractor_training.update(model.extractor, statistics_[0], ExtractorConfig(gaussian_min_count=10))

    def grow() -> None:
        config, generator = UbmConfig(init_iterations=10), torch.Generator().manual_seed(0)
        ubm = ubm_training.initialise(sample.to(device), config, generator)
        for iteration in range(1, 7):
            ubm, _ = ubm_training.update(UbmStatistics.of(ubm, sample.to(device)), config)
            ubm = ubm_training.split(ubm, config.gaussians_after(iteration), config, generator)

    systems: dict[str, Callable[[], None]] = dict(zip(KALDI, (extraction, accumulation, update, grow), strict=True))
    times: dict[str, list[float]] = {name: [] for name in systems}
    for round_number in range(rounds + 1):
        for name, run in systems.items():
            wait()
            start = time.perf_counter()
            run()
            wait()
            if round_number:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    where = f"{threads} thread{'s' if threads > 1 else ''}" if device == "cpu" else torch.cuda.get_device_name()
    print(
        f"{len(utterances)} utterances, {seconds / 60:.1f} minutes, {where}, "
        f"torch {torch.__version__}, median of {rounds}"
    )
    print("| | seconds | times real time | Kaldi, one core | ratio |\n|---|---|---|---|---|")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"| {name} | {median:.2f} | {seconds / median:.0f} | {KALDI[name]} | {KALDI[name] / median:.1f} |")


def a_model(utterances: list[Tensor]) -> tuple[IvectorModel, Tensor]:
    """512 Gaussians and dimension 100 after two iterations on these utterances; and the UBM's frames."""
    frames = Frames.of(utterances)
    spliced = ScatterStatistics(280)
    spliced.add(splice(frames.values, frames, 3))
    frontend = Frontend(frames.values.double().mean(0), *pca(spliced, 40), 3, CmvnConfig())
    as_they_are, normalised = frontend(frames)
    config, generator = UbmConfig(init_iterations=10), torch.Generator().manual_seed(0)
    ubm = ubm_training.initialise(normalised, config, generator)
    for iteration in range(1, 11):
        ubm, _ = ubm_training.update(UbmStatistics.of(ubm, normalised), config)
        ubm = ubm_training.split(ubm, config.gaussians_after(iteration), config, generator)
    options = ExtractorConfig(gaussian_min_count=10)
    extractor = extractor_training.initialise(ubm, options, generator)
    post = ubm.scorer(normalised).posteriors(normalised, PosteriorConfig())
    for _ in range(2):
        statistics_ = ExtractorStatistics.zeros(extractor)
        extractor_training.accumulate(statistics_, extractor, Frames(as_they_are, frames.lengths), post)
        extractor = extractor_training.update(extractor, statistics_, options).extractor
    return IvectorModel(frontend, ubm, extractor, PosteriorConfig(), {}), normalised


def memory(options: argparse.Namespace) -> None:
    print("| hours of speech | peak of memory, MiB |\n|---|---|")
    for repeat in (1, 2, 4, 8):
        command = [
            sys.executable,
            __file__,
            str(options.folder),
            "--repeat",
            str(repeat),
            "--threads",
            str(options.threads),
        ]
        command += ["--minutes", str(options.minutes)] + (["--actors", *options.actors] if options.actors else [])
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip(), flush=True)


def train_repeated(paths: list[Path], repeat: int, workers: int) -> None:
    """Train on a corpus that is as many times as large; its frames lie on disk."""
    cuts = []
    for path in paths:
        cut = Recording.from_file(path).to_cut()
        for copy in range(repeat):
            name = f"{path.stem}-{copy}"
            supervision = SupervisionSegment(
                name, cut.recording_id, 0.0, cut.duration, speaker=f"{path.parent.name}-{copy}"
            )
            cuts.append(cut.with_id(name))
            cuts[-1].supervisions = [supervision]
    config = from_dict(
        IvectorConfig,
        {
            "ubm": {"num_frames": 20000, "init_iterations": 4, "iterations": 1},
            "extractor": {"iterations": 1, "gaussian_min_count": 1.0},
        },
    )
    with tempfile.TemporaryDirectory() as folder:
        CutSet.from_cuts(cuts).to_file(Path(folder) / "cuts.jsonl.gz")
        features = FeaturesConfig(MfccConfig())
        compute_features(Path(folder) / "cuts.jsonl.gz", Path(folder) / "mfcc", features)
        collect_features(Path(folder) / "cuts.jsonl.gz", Path(folder) / "mfcc", features)
        train_ivector(config, Path(folder) / "mfcc" / "cuts.jsonl.gz", Path(folder) / "model", workers=workers)
    hours = sum(cut.duration for cut in cuts) / 3600
    print(f"| {hours:.2f} | {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} |")


if __name__ == "__main__":
    main()
