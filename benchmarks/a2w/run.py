#!/usr/bin/env python3
"""The acoustic-to-word recogniser at S4's size: training and beam search, in times real time, and memory.

    . path.sh; benchmarks/a2w/run.py [--threads 2] [--utterances 16] [--updates 4] [--part softmax training search]
    . path.sh; benchmarks/a2w/run.py --device cuda --utterances 64

Noise in place of filter banks (40 filters), utterances of 15 s with 40 words, as long ones of
LibriSpeech (2.7 words a second); 5 layers of 320 cells a direction, 47 465 words.  Parts:

layer     one bidirectional layer, forward and backward, beside torch's nn.LSTM on packed sequences
softmax   the output layer and its smoothed cross-entropy in chunks, beside torch's cross_entropy
training  updates (forward, backward, clipping, Adam), with the one and the other softmax
search    decoding, the encoder included: a beam of 4, all utterances at once, in a batch each, and a beam of 1

Random weights would never end a hypothesis.  For the search a cell of the decoder counts the steps,
and the end symbol listens to it: it becomes likely after 40 words, and not before; the softmax is scaled so
that a word is about as certain as a trained network's.  The program itself is the one that recipes run.

Each measurement is a process of its own, so that its peak of memory is: above what the process held
before the first batch for softmax and layer, of all of it for the others.  Times are medians after a
first call; processor seconds, all threads together, feel other programs on the machine less.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
    if "AuthenticAMD" in cpuinfo.read():
        # the MKL in torch 1.13 takes slow code on AMD unless told otherwise; must be set before torch is loaded
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sertools.decoding.beam_search import BeamConfig, beam_search
from sertools.models.a2w import END, A2wModel, A2wModelConfig
from sertools.models.large_softmax import smoothed_cross_entropy
from sertools.models.lstm import bidirectional, turned
from sertools.training.memory import keep_freed_memory

VOCABULARY, WORDS, SECONDS = 47_465, 40, 15.0
CHUNK = 128
PARTS = {
    "layer": ("sertools", "torch"),
    "softmax": ("chunks", "plain"),
    "training": ("chunks", "plain"),
    "search": ("batch", "one by one", "beam 1"),
}


def peak(device: str) -> float:
    """Most memory so far, in MiB: of the GPU, or of the process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    # not getrusage's, which a process inherits
    with open("/proc/self/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def timed(call: Callable[[], Any], count: int, device: str) -> dict[str, float]:
    """Median seconds and processor seconds of calls after the first, and memory."""
    before, seconds, processor = peak(device), [], []
    for _ in range(count + 1):
        start, used = time.perf_counter(), time.process_time()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    return {
        "seconds": statistics.median(seconds[1:]),
        "processor": statistics.median(processor[1:]),
        "peak": peak(device),
        "more": peak(device) - before,
    }


def batch(options: argparse.Namespace, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features, lengths and tokens."""
    frames = round(100 * SECONDS)
    tokens = torch.randint(2, VOCABULARY, (count, WORDS + 1))
    tokens[:, -1] = END
    return torch.randn(count, frames, 40).to(options.device), torch.full((count,), frames), tokens.to(options.device)


def cross_entropy(outputs: Tensor, layer: nn.Linear, targets: Tensor, how: str) -> Tensor:
    if how == "plain":
        return F.cross_entropy(layer(outputs), targets, label_smoothing=0.1, reduction="sum")
    return smoothed_cross_entropy(outputs, layer.weight, layer.bias, targets, 0.1, CHUNK)


def measure_layer(options: argparse.Namespace, how: str) -> dict[str, float]:
    frames, count = round(100 * SECONDS / 3), options.utterances
    layer = nn.LSTM(640, 320, bidirectional=True).to(options.device)
    x = torch.randn(frames, count, 640, device=options.device, requires_grad=True)
    lengths = torch.linspace(frames, 0.8 * frames, count).long()
    turn = turned(lengths, frames).to(options.device)

    def call() -> None:
        if how == "torch":
            pad_packed_sequence(layer(pack_padded_sequence(x, lengths))[0])[0].sum().backward()
        else:
            bidirectional(layer, x, lengths, turn).sum().backward()

    return timed(call, options.updates, options.device)


def measure_softmax(options: argparse.Namespace, how: str) -> dict[str, float]:
    layer = nn.Linear(320, VOCABULARY).to(options.device)
    outputs = torch.randn(options.utterances * (WORDS + 1), 320, device=options.device, requires_grad=True)
    targets = torch.randint(0, VOCABULARY, (len(outputs),), device=options.device)
    return timed(lambda: cross_entropy(outputs, layer, targets, how).backward(), options.updates, options.device)


def measure_training(options: argparse.Namespace, how: str) -> dict[str, float]:
    model = A2wModel(A2wModelConfig(), VOCABULARY).to(options.device).train()
    optimizer = torch.optim.Adam(model.parameters())
    features, lengths, tokens = batch(options, options.utterances)

    def call() -> None:
        optimizer.zero_grad(set_to_none=True)
        decoded = model.teacher(model.encode(features, lengths), tokens)
        loss = cross_entropy(decoded.outputs.flatten(0, 1), model.output, tokens.flatten(), how)
        (loss / tokens.numel()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return timed(call, options.updates, options.device)


@torch.no_grad()
def let_it_end(model: A2wModel) -> None:
    """Make the end symbol likely after 40 words, by weights alone; see the program's help."""
    size = model.config.decoder_dim
    by_input, by_state, bias = model.cell.weight_ih, model.cell.weight_hh, model.cell.bias_ih
    for gate, value in ((0, 10.0), (1, 10.0), (2, 0.01), (3, 10.0)):
        by_input[gate * size] = by_state[gate * size] = 0
        bias[gate * size], model.cell.bias_hh[gate * size] = value, 0
    # s_l[0] is tanh(0.01 l): a counter, which o_l[0] passes on as tanh(s_{l-1}[0])
    model.from_context.weight[0] = model.from_context.bias[0] = model.from_state.weight[0] = 0
    model.from_state.weight[0, 0] = 1
    nn.init.normal_(model.output.weight, std=6.0)
    model.output.weight[:, 0] = model.output.weight[END] = model.output.bias[:] = 0
    # the best of 47 465 scores is about 37: the end symbol's passes it with word 39 or 40, rising by 90 a step
    model.output.weight[END, 0] = 12000.0
    model.output.bias[END] = 130.0 - 12000.0 * float(torch.tensor(0.01 * WORDS).tanh().tanh())


def measure_search(options: argparse.Namespace, how: str) -> dict[str, float]:
    model = A2wModel(A2wModelConfig(), VOCABULARY).to(options.device).eval()
    let_it_end(model)
    features, lengths, _ = batch(options, options.utterances)
    config = BeamConfig(beam=1 if how == "beam 1" else 4)
    found: list[Any] = []

    @torch.no_grad()
    def call() -> None:
        found.clear()
        size = 1 if how == "one by one" else len(features)
        for first in range(0, len(features), size):
            rows = slice(first, first + size)
            found.extend(beam_search(model, model.encode(features[rows], lengths[rows]), config))

    result = timed(call, min(options.updates, 2), options.device)
    best = [hypotheses[0] for hypotheses in found]
    assert all(hypothesis.ended for hypothesis in best)
    result["words"] = statistics.mean(len(hypothesis.tokens) for hypothesis in best)
    result["certainty"] = statistics.mean(hypothesis.score for hypothesis in best)
    return result


def shown(part: str, how: str, result: dict[str, float], first: dict[str, float], options: argparse.Namespace) -> str:
    seconds = options.utterances * SECONDS
    text = f"{part:9} {how:11} {result['seconds']:7.2f} s ({result['processor']:.2f} of processor)"
    if part in ("training", "search"):
        text += f", {seconds / result['seconds']:.0f} times real time "
        text += f"({seconds / result['processor']:.0f} by processor time), peak {result['peak']:.0f} MiB"
    else:
        text += f", {result['more']:.0f} MiB more than before"
    if part == "search":
        text += f", {result['words']:.1f} words, mean log-probability {result['certainty']:.2f}"
    if result is not first:
        text += f"; x {result['seconds'] / first['seconds']:.2f} the time (processor x "
        text += f"{result['processor'] / first['processor']:.2f})"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--utterances", type=int, default=16, help="in a batch")
    parser.add_argument("--updates", type=int, default=4, help="measured calls")
    parser.add_argument("--part", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--how", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    if options.how:
        keep_freed_memory()
        measure = {"layer": measure_layer, "softmax": measure_softmax, "training": measure_training,
                   "search": measure_search}[options.part[0]]  # fmt: skip
        print(json.dumps(measure(options, options.how)))
        return
    print(f"torch {torch.__version__}, {options.threads} threads, {options.device}, "
          f"{options.utterances} utterances of {SECONDS:.0f} s, {WORDS} words each")  # fmt: skip
    for part in options.part:
        first: dict[str, float] | None = None
        for how in PARTS[part]:
            again = [f"--{name}={getattr(options, name)}" for name in ("threads", "utterances", "updates", "device")]
            command = [sys.executable, __file__, *again, "--part", part, "--how", how]
            result = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
            first = first or result
            print(shown(part, how, result, first, options), flush=True)


if __name__ == "__main__":
    main()
