#!/usr/bin/env python3
"""LF-MMI on one core or a GPU: the dense engine beside k2, exact and pruned.

    benchmarks/lfmmi/run.py                                   # bigram to 4-gram, one core
    benchmarks/lfmmi/run.py --orders 4 --device cuda --utterances 128 --frames 700

Synthetic text: words of 2 to 7 of 40 phones (a Markov chain), Zipf frequencies, silence here and
there.  Its phone LM (4-gram: 2000 states beyond the trigram's) is the denominator, transcripts
the numerators, chain topology, monophones.  Outputs are normal deviates times SCALE: 0.1 as at
the beginning of training; "peaky" adds 8 to the pdfs of a random alignment of the transcript.

Every case runs in a process of its own on one core.  Times are of forward and backward, the
median of some rounds after the first, in seconds of processor time (of the clock, with cuda), so a
busy machine hardly matters; memory is the peak of that process above what it held before
(of the device, with cuda).  Bias is the mean difference to the dense engine's log-prob of the
denominator, which is exact, a frame.  k2's memory is limited by --limit; a case that needs more says so.
"""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from sertools.lfmmi import (
    Lfmmi,
    LfmmiConfig,
    Topology,
    TopologyConfig,
    estimate_phone_lm,
    k2_engine,
    make_denominator,
    make_numerator,
)
from sertools.lfmmi import dense_scaled as numerators_engine
from sertools.lfmmi.graph import Graph
from sertools.training.checkpoint import save_tensors

SILENCE = 41
TENSORS = ("sources", "targets", "pdfs", "log_probs", "initial", "final")
CASES = {"sertools, dense": None, "k2, exact": 1000.0, "k2, beam 10": 10.0, "k2, beam 6": 6.0}


def synthetic_text(sentences: int) -> list[list[list[int]]]:
    """Sentences of words of phones."""
    rng = random.Random(1)
    successors = [[rng.expovariate(1) ** 2 for _ in range(40)] for _ in range(41)]
    words = []
    for _ in range(3000):
        word = [0]
        for _ in range(rng.randint(2, 7)):
            word += rng.choices(range(1, 41), successors[word[-1]])
        words.append(word[1:])
    weights = [1 / (rank + 3) for rank in range(len(words))]
    return [rng.choices(words, weights, k=rng.randint(5, 25)) for _ in range(sentences)]


def prepare(order: int, utterances: int, frames: int, scale: float, folder: Path) -> dict[str, int]:
    """Write the graphs and outputs of one case."""
    rng = random.Random(2)
    text = synthetic_text(6000)
    spoken = [[p for word in s for p in ([*word, SILENCE] if rng.random() < 0.2 else word)] for s in text]
    lm = estimate_phone_lm([[SILENCE, *s, SILENCE] for s in spoken], order)
    topology = Topology(TopologyConfig(), SILENCE)
    denominator = make_denominator(lm, topology)
    numerators = []
    outputs = scale * torch.randn(utterances, frames, topology.num_pdfs, generator=torch.Generator().manual_seed(3))
    # about 10 phones a second, 33 output frames a second
    long_enough = [s for s in range(len(text)) if frames // 5 <= len(spoken[s]) <= frames // 3]
    for i in range(utterances):
        sentence = long_enough[i % len(long_enough)]
        graph = make_numerator([[(word, 0.0)] for word in text[sentence]], SILENCE, 0.2, topology, lm)
        numerators.append(graph)
        if scale >= 1:
            phones = [SILENCE, *spoken[sentence], SILENCE]
            for t in range(frames):
                outputs[i, t, topology.repeat(phones[t * len(phones) // frames], 0)] += 8
    graphs = {str(number): graph for number, graph in enumerate([denominator, *numerators])}
    tensors = {f"{name}.{key}": getattr(graph, key) for name, graph in graphs.items() for key in TENSORS}
    save_tensors(folder / "case.safetensors", {"outputs": outputs, **tensors})
    return {"states": denominator.num_states, "arcs": denominator.num_arcs}


def measure(run: Callable[[], Any], device: str, seconds: float) -> tuple[float, float, Any]:
    """Median time, peak memory in MiB of the first run, and what the last run gave."""
    cuda = device == "cuda"
    clock = time.perf_counter if cuda else time.process_time

    def wait() -> None:
        if cuda:
            torch.cuda.synchronize()

    def status(field: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))

    wait()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        Path("/proc/self/clear_refs").write_text("5")
        held = status("VmRSS")
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < 2 or (time.perf_counter() - started < seconds and len(times) < 12):
        begin = clock()
        result = run()
        wait()
        times.append(clock() - begin)
        if len(times) == 1:
            memory = (torch.cuda.max_memory_allocated() - before) / 2**20 if cuda else status("VmHWM") - held
            if times[0] > seconds:
                break
    return statistics.median(times[1:] or times), memory, result


def one_case(folder: Path, case: str, whole: bool, device: str, limit: float) -> dict[str, float]:
    """Denominator alone, or the whole loss, of one engine."""
    if device == "cpu":
        torch.set_num_threads(1)
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        if CASES[case] is not None:
            resource.setrlimit(resource.RLIMIT_AS, (int(limit * 2**30),) * 2)
    data = load_file(folder / "case.safetensors")
    outputs: Tensor = data["outputs"].to(device)
    denominator_graph, *numerators = (
        Graph(len(data[f"{number}.initial"]), **{key: data[f"{number}.{key}"] for key in TENSORS})
        for number in range(len(outputs) + 1)
    )
    lengths = torch.full((len(outputs),), outputs.shape[1], device=device)
    beam = CASES[case]
    config = LfmmiConfig(leaky_hmm=0.0, xent_regularize=0.1)
    if beam is None:
        config = replace(config, leaky_hmm=0.0)
    else:
        config = replace(config, engine="k2", k2_beam=beam)
    lfmmi = Lfmmi(denominator_graph, config)

    def denominator() -> Tensor:
        return lfmmi._denominator(outputs, lengths, True)[0]

    leaf = outputs.clone().requires_grad_()
    head = outputs.clone().requires_grad_()

    def loss() -> Any:
        leaf.grad = head.grad = None
        value = lfmmi(leaf, lengths, numerators, head)
        value.loss.backward()
        return value

    with torch.no_grad():
        if beam is None:  # MKL, cuBLAS and their workspaces
            lfmmi._denominator(outputs[:1, :2], lengths[:1].clamp(max=2), True)
            numerators_engine.forward_backward(numerators[:1], outputs[:1, :2], lengths[:1].clamp(max=2))
        else:
            k2_engine.forward_backward(lfmmi._k2, True, outputs[:1, :2], lengths[:1].clamp(max=2), 1.0)
    if whole:
        seconds, memory, value = measure(loss, device, 10)
        return {
            "seconds": seconds,
            "memory": memory,
            "objective": float(value.objective),
            "impossible": int(value.impossible.sum()),
        }
    with torch.no_grad():
        seconds, memory, log_prob = measure(denominator, device, 10)
    per_frame = float(log_prob.double().sum()) / outputs.shape[0] / outputs.shape[1]
    return {"seconds": seconds, "memory": memory, "log_prob": per_frame}


def child(folder: Path, case: str, whole: bool, options: argparse.Namespace) -> dict[str, float] | str:
    """One case in its own process; a text where it fails."""
    command = [sys.executable, __file__, "--case", case, "--folder", str(folder), "--device", options.device]
    command += ["--limit", str(options.limit), *(["--whole"] if whole else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.timeout)
    except subprocess.TimeoutExpired:
        return f"not done in {options.timeout:.0f} s"
    if done.returncode:
        short = "bad_alloc" in done.stderr or "emory" in done.stderr
        return f"needs more than {options.limit:g} GiB" if short else f"failed: {done.stderr[-300:]}"
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--scales", type=float, nargs="+", default=[0.1, 1.0], help="1 or more: peaky")
    parser.add_argument("--utterances", type=int, default=8)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cases", nargs="+", default=list(CASES))
    parser.add_argument("--limit", type=float, default=12.0, help="GiB of address space for k2 on the CPU")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for one case")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--whole", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(one_case(options.folder, options.case, options.whole, options.device, options.limit)))
        return
    print(f"{options.utterances} utterances of {options.frames} frames, {options.device}, torch {torch.__version__}")
    for order in options.orders:
        for scale in options.scales:
            with tempfile.TemporaryDirectory() as folder:
                size = prepare(order, options.utterances, options.frames, scale, Path(folder))
                print(f"\n{order}-gram, {size['states']} states, {size['arcs']} arcs, outputs times {scale:g}\n")
                print("| | denominator | memory | bias a frame | whole loss | memory | objective |")
                print("|---|---|---|---|---|---|---|", flush=True)
                table(Path(folder), options)


def table(folder: Path, options: argparse.Namespace) -> None:
    """The rows of one size; ratios are to the first row."""
    first: list[dict[str, float]] = []
    for case in options.cases:
        cells = [case]
        results = [child(folder, case, whole, options) for whole in (False, True)]
        if not first:
            first = [result for result in results if not isinstance(result, str)]
        for result, base in zip(results, first, strict=True):
            if isinstance(result, str):
                cells += [result, "", ""]
                continue
            cells.append(f"{result['seconds']:.3f} s (x{result['seconds'] / base['seconds']:.1f})")
            cells.append(f"{result['memory']:.0f} MiB (x{result['memory'] / max(base['memory'], 1):.1f})")
            if "log_prob" in result:
                cells.append(f"{result['log_prob'] - base['log_prob']:+.1e}")
            else:
                cells.append(f"{result['objective']:.4f}")
                if result["impossible"]:
                    cells[-1] += f", {result['impossible']:.0f} of {options.utterances} impossible"
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
