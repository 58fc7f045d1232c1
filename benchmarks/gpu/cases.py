#!/usr/bin/env python3
"""One case of benchmarks/gpu/run.py; prints a line of JSON for every number."""

import argparse
import importlib.util
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sertools.devices import be_deterministic, use_device
from sertools.lfmmi.recorded import CUDA_GRAPHS, wanted

SPEECH = 100  # frames a second


def say(what: str, value: Any, unit: str = "", **more: Any) -> None:
    """A number for the table."""
    print(json.dumps({"what": what, "value": value, "unit": unit} | more), flush=True)


def benchmark(name: str) -> ModuleType:
    """Another benchmark's module."""
    path = Path(__file__).parents[1] / name / "run.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Device:
    """Where a case computes, and how large it is."""

    def __init__(self, name: str, small: bool) -> None:
        self.name, self.small, self.cuda = use_device(name), small, name.startswith("cuda")

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()

    def seconds(self, call: Callable[[], Any], rounds: int = 5, limit: float = 15.0) -> float:
        """Median of some rounds after the first."""
        times: list[float] = []
        began = time.perf_counter()
        while len(times) < 2 or (len(times) <= rounds and time.perf_counter() - began < limit):
            self.wait()
            start = time.perf_counter()
            call()
            self.wait()
            times.append(time.perf_counter() - start)
        return statistics.median(times[1:])

    def peak(self, call: Callable[[], Any]) -> None:
        """Say the most memory that a call takes."""
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
            call()
            self.wait()
            say("peak memory", round(torch.cuda.max_memory_allocated() / 2**30, 2), "GiB")

    def profile(self, call: Callable[[], Any], what: str) -> None:
        """Say where the time goes: kernels with the largest shares."""
        activities = [torch.profiler.ProfilerActivity.CPU]
        activities += [torch.profiler.ProfilerActivity.CUDA] if self.cuda else []
        with torch.profiler.profile(activities=activities) as profile:
            call()
            self.wait()

        def own(event: Any) -> float:
            # torch 2.4 and later call it device
            names = ("self_device_time_total", "self_cuda_time_total") if self.cuda else ("self_cpu_time_total",)
            return float(next((getattr(event, name) for name in names if hasattr(event, name)), 0.0))

        events = sorted(profile.key_averages(), key=own, reverse=True)
        total = sum(map(own, events)) or 1.0
        for event in events[:6]:
            say(f"{what}: {event.key[:60]}", round(100 * own(event) / total, 1), "% of the time", calls=event.count)
        say(f"{what}: operations", sum(event.count for event in events), "")


def apart(one: Tensor, other: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    one, other = one.detach().double().cpu(), other.detach().double().cpu()
    return float((one - other).abs().max() / other.abs().max().clamp(min=1e-12))


def correctness(device: Device) -> None:
    """The same on both devices."""
    _lfmmi_is_right(device)
    _networks_are_right(device)
    _ivectors_are_right(device)
    from sertools.features.frames.logmel import Logmel, LogmelConfig

    samples = 0.1 * torch.randn(4, 16000, generator=torch.Generator().manual_seed(0))
    config = LogmelConfig()
    difference = apart(Logmel(config, device.name)(samples.to(device.name)), Logmel(config)(samples))
    say("log-mel, apart from the CPU's", difference, "", right=difference < 1e-3)


def _lfmmi_is_right(device: Device) -> None:
    lfmmi, outputs, lengths, numerators = _lfmmi_case(3, 4, 60)
    found = []
    for where in (device.name, "cpu"):
        leaf = outputs.to(where).requires_grad_()
        value = lfmmi(leaf, lengths, numerators, leaf)
        value.loss.backward()
        found.append((value.loss, leaf.grad))
    for name, one, other in zip(("loss", "gradient"), *found, strict=True):
        say(f"LF-MMI's {name}, apart from the CPU's", apart(one, other), "", right=apart(one, other) < 1e-4)


def _networks_are_right(device: Device) -> None:
    from sertools.models.a2w import A2wModel, A2wModelConfig
    from sertools.models.cnn14 import Cnn14, Cnn14Config
    from sertools.models.tdnnf import Tdnnf, TdnnfConfig

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    lengths = torch.tensor([90, 61])
    torch.manual_seed(0)
    tdnnf = Tdnnf(TdnnfConfig(hidden_dim=64, bottleneck_dim=16, prefinal_dim=32))
    a2w = A2wModel(A2wModelConfig(40, 3, 2, 32, 32, 16, dropout=0.0), 50)
    cnn14 = Cnn14(Cnn14Config(width=4 if device.small else 64, dropout="none"), 4)
    tokens = torch.randint(2, 50, (2, 6))
    calls: dict[str, tuple[torch.nn.Module, Callable[[Any, Tensor], Tensor]]] = {
        "TDNN-F": (tdnnf, lambda m, x: m(x, lengths, ["prefinal"])["prefinal"][:, :20]),
        "A2W": (a2w, lambda m, x: m.teacher(m.encode(x, lengths), tokens.to(x.device)).outputs),
        "Cnn14": (cnn14, lambda m, x: m(x)),
    }
    for name, (model, call) in calls.items():
        features = torch.randn(2, 90, 64 if name == "Cnn14" else 40, generator=torch.Generator().manual_seed(1))
        model.train(name != "Cnn14")  # cuDNN's LSTM has no gradients otherwise
        found = []
        for where in ("cpu", device.name):
            model.to(where).zero_grad()
            outputs = call(model, features.to(where))
            outputs.square().mean().backward()
            gradient = torch.cat([p.grad.flatten().cpu() for p in model.parameters() if p.grad is not None])
            found.append((outputs.detach().cpu(), gradient))
        for part, one, other in zip(("outputs", "gradients"), found[1], found[0], strict=True):
            say(f"{name}'s {part}, apart from the CPU's", apart(one, other), "", right=apart(one, other) < 1e-3)


def _ivectors_are_right(device: Device) -> None:
    from sertools.features.ivector.extraction import ExtractionConfig, extract

    model, utterances = _ivector_model(16, 20, 1000)
    one, other = (extract(model, utterances, ExtractionConfig(), device=where)[0] for where in (device.name, "cpu"))
    difference = apart(torch.cat(one), torch.cat(other))
    say("i-vectors, apart from the CPU's", difference, "", right=difference < 1e-2)


def _lfmmi_case(order: int, utterances: int, frames: int) -> tuple[Any, Tensor, Tensor, list[Any]]:
    """The loss, outputs, lengths and numerators of benchmarks/lfmmi."""
    other = benchmark("lfmmi")
    from safetensors.torch import load_file

    from sertools.lfmmi import Lfmmi, LfmmiConfig
    from sertools.lfmmi.graph import Graph

    with tempfile.TemporaryDirectory() as folder:
        other.prepare(order, utterances, frames, 0.1, Path(folder))
        data = load_file(str(Path(folder) / "case.safetensors"))
    graphs = [
        Graph(len(data[f"{n}.initial"]), **{key: data[f"{n}.{key}"] for key in other.TENSORS})
        for n in range(utterances + 1)
    ]
    lengths = torch.full((utterances,), frames)
    return Lfmmi(graphs[0], LfmmiConfig(leaky_hmm=0.0)), data["outputs"], lengths, graphs[1:]


def lfmmi(device: Device) -> None:
    """The public benchmark's size: 128 utterances of 700 frames, a 4-gram."""
    loss, outputs, lengths, numerators = _lfmmi_case(*((3, 2, 60) if device.small else (4, 128, 700)))
    leaf = outputs.to(device.name).requires_grad_()

    def step() -> None:
        leaf.grad = None
        loss(leaf, lengths, numerators, leaf).loss.backward()

    say("loss and gradient", device.seconds(step), "s", wanted="0.2 s on an H200")
    with torch.no_grad():
        say("denominator alone", device.seconds(lambda: loss._denominator(leaf.detach(), lengths, True)), "s")
        say("numerators alone",
            device.seconds(lambda: loss._numerator(leaf.detach(), lengths, numerators, True)), "s")  # fmt: skip
    device.peak(step)
    device.profile(step, "LF-MMI")


def lfmmi_recorded(device: Device) -> None:
    """The same with stretches of frames recorded as CUDA graphs: the same numbers, in what time."""
    loss, outputs, lengths, numerators = _lfmmi_case(*((3, 2, 60) if device.small else (4, 128, 700)))
    leaf = outputs.to(device.name).requires_grad_()

    def step() -> tuple[Tensor, Tensor]:
        leaf.grad = None
        value = loss(leaf, lengths, numerators, leaf)
        value.loss.backward()
        assert leaf.grad is not None
        return value.numerator - value.denominator, leaf.grad

    os.environ[CUDA_GRAPHS] = "0"
    as_ever = [one.detach().clone() for one in step()]
    os.environ[CUDA_GRAPHS] = "1"
    say("recorded", wanted(torch.device(device.name)), "")
    for name, one, other in zip(("objective", "gradient"), step(), as_ever, strict=True):
        say(f"{name}, apart from frame by frame", apart(one, other), "", right=apart(one, other) < 1e-4)
    say("loss and gradient, recorded", device.seconds(step), "s", wanted="below that of lfmmi")
    device.peak(step)
    device.profile(step, "LF-MMI, recorded")


def tdnnf_recorded(device: Device) -> None:
    """Updates of the network with them."""
    os.environ[CUDA_GRAPHS] = "1"
    tdnnf(device)


def tdnnf(device: Device, precision: str = "float32") -> None:
    """Updates of the 1g network with everything around them."""
    other = benchmark("tdnnf")
    from sertools.asr.lfmmi_system import AsrConfig, AsrTask
    from sertools.data.reader import Reader
    from sertools.data.transcribed import DataConfig
    from sertools.models.asr import AcousticModelConfig
    from sertools.models.tdnnf import TdnnfConfig

    frames, batches = (900, 2) if device.small else (64 * 600, 10)
    shape = {"hidden_dim": 32, "bottleneck_dim": 16, "prefinal_dim": 16} if device.small else {}
    length = 150 if device.small else 600
    with tempfile.TemporaryDirectory() as folder:
        entries = other.corpus(Path(folder), [length] * (frames * (batches + 3) // length), 2)
        graphs, lexicon = other.graphs_of(entries)
        config = AsrConfig(
            model=AcousticModelConfig(TdnnfConfig(ivector_dim=100, **shape)),  # type: ignore[arg-type]
            data=DataConfig(batch_frames=frames, memory_gb=64.0, frame_shift=False), dropout="0.2,0.2",
            precision=precision,  # type: ignore[arg-type]
        )  # fmt: skip
        reader = Reader(entries, 64.0)
        task = AsrTask(config, graphs, lexicon, reader, Reader(entries[:1], 1.0), seed=1, device=device.name)
        clock = other.Clock(lambda: None, time.perf_counter)
        rates, _ = other.measure(task, batches, clock)
        device.wait()
        say(f"input frames a second, {precision}", statistics.median(rates), "", wanted="1 000 000")
        clock = other.Clock(device.wait, time.perf_counter)
        other.measure(task, batches, clock)
        for name, value in clock.seconds.items():
            say(f"seconds a batch, waiting after each part: {name}", value / batches, "s")
        batch = next(task.batches(1, 0))

        def step() -> None:
            task.loss(batch)[0].backward()

        device.peak(step)
        device.profile(step, "TDNN-F")


def tdnnf_bfloat16(device: Device) -> None:
    """The same with activations in bfloat16."""
    tdnnf(device, "bfloat16")


def tdnnf_deterministic(device: Device) -> None:
    """The same with deterministic algorithms."""
    be_deterministic()
    tdnnf(device)


def _ivector_model(gaussians: int, dim: int, frames: int) -> tuple[Any, list[Tensor]]:
    """A model of noise, without training; and utterances."""
    from sertools.features.ivector.extractor import IvectorExtractor
    from sertools.features.ivector.frontend import CmvnConfig, Frontend
    from sertools.features.ivector.model import IvectorModel
    from sertools.features.ivector.ubm import DiagonalUbm, PosteriorConfig

    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    weights = torch.full((gaussians,), 1 / gaussians, dtype=torch.float64)
    ubm = DiagonalUbm(weights, normal(gaussians, 40), normal(gaussians, 40).square() + 0.5)
    projections = 0.1 * normal(gaussians, 40, dim)
    projections[:, :, 0] = ubm.means / 100
    precisions = torch.eye(40, dtype=torch.float64).repeat(gaussians, 1, 1)
    frontend = Frontend(torch.zeros(40, dtype=torch.float64), normal(40, 280) / 17, normal(40), 3, CmvnConfig())
    extractor = IvectorExtractor(weights, projections, precisions, 100.0)
    utterances = [normal(length, 40).float() for length in [400] * max(frames // 400, 1)]
    return IvectorModel(frontend, ubm, extractor, PosteriorConfig(), {}), utterances


def ivectors(device: Device) -> None:
    """512 Gaussians, dimension 100."""
    from sertools.features.ivector import extractor_training
    from sertools.features.ivector.extraction import ExtractionConfig, extract
    from sertools.features.ivector.extractor_training import ExtractorStatistics
    from sertools.features.ivector.frames import Frames

    model, utterances = _ivector_model(*((8, 10, 800) if device.small else (512, 100, 90_000)))
    seconds = sum(map(len, utterances)) / SPEECH

    def online() -> None:
        extract(model, utterances[: max(1, len(utterances) // 4)], ExtractionConfig(), device=device.name)

    def e_step() -> None:
        frames = Frames.of(utterances, device.name)
        as_they_are, normalised = model.frontend(frames)
        post = model.ubm.scorer(normalised).posteriors(normalised, model.posteriors)
        statistics_ = ExtractorStatistics.zeros(model.extractor)
        extractor_training.accumulate(statistics_, model.extractor, Frames(as_they_are, frames.lengths), post)

    share = max(1, len(utterances) // 4) / len(utterances)
    say("online extraction", share * seconds / device.seconds(online), "times real time")
    say("E-step of the extractor", seconds / device.seconds(e_step), "times real time")
    device.peak(e_step)


def a2w(device: Device) -> None:
    """S4's size: updates and beam search."""
    other = benchmark("a2w")
    if device.small:
        other.VOCABULARY, other.WORDS, other.SECONDS = 60, 3, 0.5
    options = argparse.Namespace(device=device.name, utterances=2 if device.small else 64, updates=3)
    speech = options.utterances * other.SECONDS
    trained = other.measure_training(options, "chunks")
    say("update", speech / trained["seconds"], "times real time")
    say("update: peak memory", round(trained["peak"] / 1024, 2), "GiB")
    if not device.small:  # it ends by the weights of the whole size
        for how in ("batch", "beam 1"):
            searched = other.measure_search(options, how)
            say(f"search, {'beam 4' if how == 'batch' else how}", speech / searched["seconds"], "times real time")


def stacked(device: Device) -> None:
    """S2's networks, all folds and seeds at once."""
    other = benchmark("prognets")
    from sertools.emotion.progressive.columns import Reading
    from sertools.models.column_passes import Passes
    from sertools.models.columns import Columns
    from sertools.training.stacked import Lesson, Stack, StackConfig, train_stack

    count, utterances = (3, 100) if device.small else (100, other.UTTERANCES)
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(utterances, other.FEATURES, generator=draw).to(device.name)
    labels = torch.randint(other.CLASSES, (utterances, 1), generator=draw).to(device.name)
    lessons = []
    for number in range(count):
        order = torch.randperm(utterances, generator=draw)
        lessons.append(Lesson(order[: utterances * 8 // 10], order[utterances * 8 // 10 :], number))

    def one_epoch() -> None:
        columns = Columns(other.S2, other.FEATURES, other.CLASSES, list(range(count)))
        scale = torch.zeros(other.FEATURES), torch.ones(other.FEATURES)
        reading = Reading("plain", features, [scale] * count, [()] * count)
        stack = Stack(Passes(columns.to(device.name)), reading, lessons, labels, (other.CLASSES,))
        train_stack(stack, StackConfig(epochs=1, batch_size=64, networks_at_once=count))

    updates = -(-len(lessons[0].train) // 64)
    say(f"an update of one of {count}", 1e3 * device.seconds(one_epoch, 2) / updates / count, "ms")


def features(device: Device) -> None:
    """MFCC by lhotse's layers and log-mel, of a minute at a time."""
    from lhotse.features.kaldi.layers import Wav2MFCC

    from sertools.features.frames.logmel import Logmel, LogmelConfig

    seconds, rows = (2, 1) if device.small else (60, 16)
    samples = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, (rows, 16000 * seconds)).astype(np.float32))
    samples = samples.to(device.name)
    mfcc = Wav2MFCC(num_filters=40, num_ceps=40).to(device.name)
    logmel = Logmel(LogmelConfig(), device.name)
    with torch.no_grad():
        say("MFCC", rows * seconds / device.seconds(lambda: mfcc(samples)), "times real time")
    say("log-mel", rows * seconds / device.seconds(lambda: logmel(samples)), "times real time")


CASES = {one.__name__: one for one in (correctness, lfmmi, lfmmi_recorded, tdnnf, tdnnf_bfloat16, tdnnf_recorded,
                                       tdnnf_deterministic, ivectors, a2w, stacked, features)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    CASES[options.case](Device(options.device, options.small))


if __name__ == "__main__":
    main()
