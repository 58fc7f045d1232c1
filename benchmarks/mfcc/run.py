#!/usr/bin/env python3
"""MFCC and log-mel on one core, side by side: our two engines, whole feature stages, and kaldi-native-fbank.

    benchmarks/mfcc/run.py AUDIO_FOLDER [--minutes 15] [--rounds 5]

Takes the first MINUTES of 16 kHz audio (wav, flac) below the folder. All run in turn in every
round; the median of the rounds is given, in processor time, as multiples of real time and
against kaldi-native-fbank. Log-mel is PANNs', of 64 filters and kept exactly. "Stage" is
local/compute_features.py's work: decoding audio, MFCC, lilcom, checksums, manifest.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import kaldi_native_fbank
import numpy as np
import soundfile
import torch
from lhotse import CutSet, Recording

from sertools.features.blocks import make_blocks
from sertools.features.frames.acoustic import AcousticFeatures
from sertools.features.frames.logmel import Logmel, LogmelConfig, LogmelFeatures
from sertools.features.frames.mfcc import Mfcc, MfccConfig
from sertools.features.maker import Maker
from sertools.features.store import StoreConfig, extract


def peer() -> Callable[[np.ndarray], np.ndarray]:
    """kaldi-native-fbank with the same options."""
    options = kaldi_native_fbank.MfccOptions()
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = options.num_ceps = 40
    options.mel_opts.high_freq = -400
    options.use_energy = False

    def compute(samples: np.ndarray) -> np.ndarray:
        online = kaldi_native_fbank.OnlineMfcc(options)
        online.accept_waveform(16000, samples * 32768)
        online.input_finished()
        return np.stack([online.get_frame(i) for i in range(online.num_frames_ready)])

    return compute


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    paths: list[Path] = []
    waves: list[np.ndarray] = []
    for path in sorted(p for p in options.folder.rglob("*") if p.suffix in (".wav", ".flac")):
        samples, rate = soundfile.read(path, dtype="float32")
        if rate == 16000 and samples.ndim == 1:
            paths.append(path)
            waves.append(samples)
        if sum(map(len, waves)) > options.minutes * 60 * 16000:
            break
    seconds = sum(map(len, waves)) / 16000
    engines = {name: Mfcc(MfccConfig(engine=name)) for name in ("kaldifeat", "lhotse")}
    native, logmel = peer(), Logmel(LogmelConfig())
    cuts = CutSet.from_cuts([Recording.from_file(path).to_cut() for path in paths])

    def stage(maker: Maker) -> None:
        with tempfile.TemporaryDirectory() as folder:
            config = StoreConfig()
            extract(make_blocks(cuts, config.block_minutes), maker, folder, config)

    systems: dict[str, Callable[[], object]] = {
        "kaldi-native-fbank": lambda: [native(w) for w in waves],
        "sertools, engine kaldifeat": lambda: [engines["kaldifeat"].extract(w, 16000) for w in waves],
        "sertools, engine lhotse": lambda: [engines["lhotse"].extract(w, 16000) for w in waves],
        "sertools, whole stage (kaldifeat)": lambda: stage(AcousticFeatures(engines["kaldifeat"])),
        "sertools, log-mel": lambda: [logmel(torch.from_numpy(w)) for w in waves],
        "sertools, whole stage (log-mel)": lambda: stage(LogmelFeatures(LogmelConfig())),
    }
    difference = max(float(np.abs(native(w) - engines["kaldifeat"].extract(w, 16000)).max()) for w in waves[:20])
    times: dict[str, list[float]] = {name: [] for name in systems}
    for round_number in range(options.rounds + 1):
        for name, run in systems.items():
            start = time.process_time()
            run()
            if round_number:  # the first round warms up
                times[name].append(time.process_time() - start)
    base = statistics.median(times["kaldi-native-fbank"])
    print(f"{len(waves)} utterances, {seconds / 60:.1f} minutes, one core, median of {options.rounds} rounds")
    print(f"largest difference of coefficients to kaldi-native-fbank: {difference:.1e}")
    print("| | times real time | against kaldi-native-fbank |\n|---|---|---|")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"| {name} | {seconds / median:.0f} | {base / median:.2f} |")


if __name__ == "__main__":
    main()
