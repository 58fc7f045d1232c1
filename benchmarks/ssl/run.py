#!/usr/bin/env python3
"""Hidden states of files: sertools beside transformers' own loop, and Whisper without its padding beside with it.

    make env-ssl && benchmarks/ssl/get_weights.sh weights
    benchmarks/ssl/run.py --whisper weights/whisper-tiny.en AUDIO_FOLDER

Both read the same files and give mean and deviation over time of every layer, with one thread, in turns; seconds
are the processor's, so that what else runs on the machine counts little.
wav2vec 2.0 base has random weights: none can be fetched as a package.  The largest difference of the results
is printed beside the times.
"""

import argparse
import statistics as statistic
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import soundfile
import torch
from torch import Tensor

from sertools.backbones.encoder import SpeechEncoder, hidden_states, statistics
from sertools.backbones.library import transformers_for
from sertools.backbones.load import load_speech
from sertools.backbones.whisper import WhisperSpeechEncoder

RATE = 16000


def read(path: Path) -> Any:
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE, f"{path}: {rate} Hz"
    return samples


def ours(encoder: SpeechEncoder, files: list[Path]) -> list[Tensor]:
    return hidden_states(encoder, [torch.from_numpy(read(path)) for path in files], reduce=statistics)


def theirs(model: Any, extractor: Any, files: list[Path], frames: Callable[[int], int]) -> list[Tensor]:
    """What a script with transformers does: file by file."""
    found = []
    with torch.no_grad():
        for path in files:
            samples = read(path)
            inputs = extractor(samples, sampling_rate=RATE, return_tensors="pt")
            hidden = model(next(iter(inputs.values())), output_hidden_states=True).hidden_states
            states = torch.cat(hidden)[:, : frames(len(samples))]
            found.append(torch.cat([states.mean(1), states.std(1, unbiased=False)], 1))
    return found


def in_turns(rounds: int, **ways: Callable[[], Any]) -> tuple[dict[str, float], dict[str, Any]]:
    """Median seconds of the processor, and results, of ways that are gone through again and again."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    results = {}
    for number in range(rounds + 1):
        for name, way in ways.items():
            started = time.process_time()
            results[name] = way()
            if number:  # the first round warms up
                seconds[name].append(time.process_time() - started)
    return {name: statistic.median(values) for name, values in seconds.items()}, results


def show(name: str, audio: float, seconds: dict[str, float], results: dict[str, Any]) -> None:
    first, second = seconds
    difference = max(float((a - b).abs().max()) for a, b in zip(results[first], results[second], strict=True))
    print(f"{name}: " + ", ".join(f"{way} {value:.2f} s ({audio / value:.0f} times real time)"
          for way, value in seconds.items()), end="; ")  # fmt: skip
    print(f"{first} is {seconds[second] / seconds[first]:.2f} times as fast, largest difference {difference:.2g}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--whisper", type=Path, required=True, help="folder of a Whisper encoder")
    arguments.add_argument("--files", type=int, default=20, help="files that are read, spread over the folder")
    arguments.add_argument("--rounds", type=int, default=3, help="rounds that are timed")
    arguments.add_argument("folder", type=Path, help="folder with audio of 16 kHz, mono")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    every = sorted(path for path in options.folder.rglob("*") if path.suffix in (".wav", ".flac"))
    files = every[:: max(1, len(every) // options.files)][: options.files]
    audio = sum(soundfile.info(path).duration for path in files)
    transformers = transformers_for("this benchmark")
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, one thread; {len(files)} files, "
          f"{audio:.1f} s, medians of {options.rounds} rounds")  # fmt: skip

    padded = load_speech(options.whisper)
    assert isinstance(padded, WhisperSpeechEncoder)
    config = transformers.WhisperConfig(**vars(padded.network.config))
    model = transformers.models.whisper.modeling_whisper.WhisperEncoder(config).eval()
    model.load_state_dict(padded.network.state_dict())
    extractor = transformers.WhisperFeatureExtractor(feature_size=config.num_mel_bins)
    show(padded.backbone.name, audio, *in_turns(
        options.rounds,
        sertools=lambda: ours(padded, files),
        transformers=lambda: theirs(model, extractor, files, padded.frames),
    ))  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        base = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config()).eval()
        base.save_pretrained(folder)
        extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
        extractor.save_pretrained(folder)
        own = load_speech(folder)
        show("wav2vec 2.0 base (random weights)", audio, *in_turns(
            options.rounds,
            sertools=lambda: ours(own, files),
            transformers=lambda: theirs(base, extractor, files, own.frames),
        ))  # fmt: skip

    bare = load_speech(options.whisper, padding=False)
    four = [torch.from_numpy(read(path)) for path in files]
    four = [torch.nn.functional.pad(one[: 4 * RATE], (0, max(0, 4 * RATE - len(one)))) for one in four]
    seconds, _ = in_turns(
        options.rounds,
        without=lambda: hidden_states(bare, four, reduce=statistics),
        padded=lambda: hidden_states(padded, four, reduce=statistics),
    )
    print(f"{padded.backbone.name}, {len(four)} times 4 s: without padding {seconds['without']:.2f} s, with "
          f"{seconds['padded']:.2f} s: {seconds['padded'] / seconds['without']:.1f} times as fast")  # fmt: skip
    # of files as they are: a padded pause is not speech
    ways = [torch.stack(ours(encoder, files)) for encoder in (bare, padded)]
    half = ways[0].shape[2] // 2
    centre = ways[1][..., :half].mean(0)
    for layer in range(ways[0].shape[1]):
        means = [way[:, layer, :half] for way in ways]
        plain = torch.nn.functional.cosine_similarity(*means, dim=1).mean()
        centred = torch.nn.functional.cosine_similarity(*(one - centre[layer] for one in means), dim=1).mean()
        print(f"  layer {layer}: cosine of the means over time {plain:.4f}, less the mean over files {centred:.3f}")


if __name__ == "__main__":
    main()
