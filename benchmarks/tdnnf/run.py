#!/usr/bin/env python3
"""Training throughput of the full TDNN-F (Kaldi's run_tdnn_1g), everything included.

    benchmarks/tdnnf/run.py [--threads 1] [--batches 6] [--case chunks whole] [--profile]
    benchmarks/tdnnf/run.py --device cuda --precision bfloat16 --batch-frames 120000

A synthetic corpus (noise with i-vectors, lilcom on disk, text of a Markov chain) is read,
batched and learnt by sertools.asr's own task: 13 layers of 1024, two heads of 3600 outputs,
i-vectors of 100, dropout, LF-MMI with a left-biphone 4-gram denominator, cross-entropy
regularisation, gradient clipping, optimiser, semi-orthogonal constraint.  Cases: "chunks" are
utterances of 150 frames, 64 a batch, as in Kaldi's training; "whole" are utterances of 1.5 to 12
seconds.  Given are input frames a second, the median over batches after the first two; and by
processor time, which other programs on the machine disturb less.
"""

import argparse
import ctypes
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
    if "AuthenticAMD" in cpuinfo.read():
        # the MKL in torch 1.13 takes slow code on AMD unless told otherwise; must be set before torch is loaded
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")

import numpy as np
import torch
from lhotse.features.io import LilcomChunkyWriter

from sertools.asr.graphs import Graphs, GraphsConfig, phone_sequences
from sertools.asr.lfmmi_system import AsrConfig, AsrTask
from sertools.data.entries import Entry, Stored
from sertools.data.reader import Reader
from sertools.data.transcribed import DataConfig, batches_in_order
from sertools.lang.lexicon import Lexicon
from sertools.lang.text import TextConfig
from sertools.lfmmi import Topology, TopologyConfig, estimate_phone_lm, make_denominator
from sertools.models.asr import AcousticModelConfig
from sertools.models.tdnnf import TdnnfConfig
from sertools.training import footprint
from sertools.training.loop import TrainingConfig
from sertools.training.memory import keep_freed_memory
from sertools.training.optimizer import make_optimizer

PHONES = 42  # 2 x 42 x 43 = 3612 outputs as left biphones; Kaldi's tree has about 3600


def texts(generator: np.random.Generator, lengths: list[int]) -> list[str]:
    """Words of one phone from a Markov chain, one every eight frames: 12.5 phones a second."""
    chances = generator.dirichlet(np.full(PHONES - 1, 0.1), PHONES - 1)
    result = []
    for length in lengths:
        state, words = int(generator.integers(PHONES - 1)), []
        for _ in range(max(1, length // 8)):
            state = int(generator.choice(PHONES - 1, p=chances[state]))
            words.append(f"w{state + 2}")
        result.append(" ".join(words))
    return result


def corpus(directory: Path, lengths: list[int], seed: int) -> list[Entry]:
    """Utterances of noise on disk."""
    generator = np.random.default_rng(seed)
    entries = []
    with LilcomChunkyWriter(directory / "features.lca", tick_power=-8) as features:
        with LilcomChunkyWriter(directory / "ivectors.lca", tick_power=-8) as ivectors:
            for number, (length, text) in enumerate(zip(lengths, texts(generator, lengths), strict=True)):
                rows = -(-length // 10)
                matrix = generator.normal(0, 10, (length, 40)).astype(np.float32)
                extra = generator.normal(0, 1, (rows, 100)).astype(np.float32)
                places = [
                    Stored(writer.name, str(writer.storage_path), writer.write(str(number), values), 0, len(values))
                    for writer, values in ((features, matrix), (ivectors, extra))
                ]
                entries.append(Entry(str(number), text, length, *places))
    return entries


def graphs_of(entries: list[Entry]) -> tuple[Graphs, Lexicon]:
    """A lexicon of one-phone words, phone LM and denominator."""
    words = {f"w{phone}": (((phone,), 0.0),) for phone in range(2, PHONES + 1)}
    lexicon = Lexicon(tuple(f"p{i}" for i in range(1, PHONES + 1)), words, 1, None, TextConfig())
    config = GraphsConfig(topology=TopologyConfig("chain", "biphone"))
    options = config.phone_lm
    lm = estimate_phone_lm(phone_sequences([e.text for e in entries], lexicon, options), options.order,
                           options.no_prune_order, options.num_extra_states)  # fmt: skip
    topology = Topology(config.topology, PHONES)
    return Graphs(config, topology, lexicon.phones, lm, make_denominator(lm, topology)), lexicon


class Clock:
    """Seconds by section: of processor time, on a GPU of real time."""

    def __init__(self, wait: Callable[[], None], now: Callable[[], float]) -> None:
        self.now = now
        self.seconds: dict[str, float] = {}
        self.wait = wait

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        self.wait()
        start = self.now()
        yield
        self.wait()
        self.seconds[name] = self.seconds.get(name, 0.0) + self.now() - start


def measure(task: AsrTask, batches: int, clock: Clock) -> tuple[list[float], list[float]]:
    """Input frames a second, and a second of processor time, of each batch after the first two.

    The steps are those of the training loop.
    """
    optimizer = make_optimizer(task.model, task.config.training)
    task.model.train()
    rates: list[float] = []
    by_processor: list[float] = []
    iterator = task.batches(1, 0)
    previous = None
    for number in range(batches + 2):
        if number == 2:
            clock.seconds.clear()
        start, processor = time.perf_counter(), time.process_time()
        with clock.section("data"):
            batch = next(iterator)
        task.before_step(0.4)
        optimizer.zero_grad(set_to_none=True)
        with clock.section("forward"):
            scores, xent, _, lengths = task._forward(batch)
        with clock.section("loss"):
            value = task.objective(scores, xent, lengths, batch.targets)
        with clock.section("backward"):
            value.loss.backward()
        with clock.section("update"):
            torch.nn.utils.clip_grad_norm_(task.model.parameters(), 5.0)
            optimizer.step()
        with clock.section("constraint"):
            task.after_step(number)
        # as in the loop: the value of one batch is read while the next is computed
        if previous is not None:
            float(previous)
        previous = value.loss.detach()
        if number >= 2:
            rates.append(int(batch.lengths.sum()) / (time.perf_counter() - start))
            by_processor.append(int(batch.lengths.sum()) / (time.process_time() - processor))
    return rates, by_processor


def memory(task: AsrTask, batch_frames: int) -> None:
    """Print what sertools.training.footprint foretells, and what one update then takes of this process."""

    def status(field: str) -> float:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith(field))

    network = sum(p.numel() * 4 for p in task.model.parameters()) / 1e9  # is there already
    batch = next(task.batches(1, 0))
    largest = batch_frames / batch.features.shape[:2].numel()
    small = next(iter(batches_in_order(task.train, task.objective.target, batch_frames // 8).load(0, 0, False)))
    scale = batch.features.shape[:2].numel() / small.features.shape[:2].numel()
    found = footprint.measure(task, task.config.training, small, scale)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    held = status("VmRSS")
    optimizer = make_optimizer(task.model, task.config.training)
    task.model.train()
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        task.loss(batch)[0].backward()
        optimizer.step()
    of_batch = found.batch * scale / 1e9
    print(f"foretold {found.total / 1e9:.2f} GB ({found.fixed / 1e9:.2f} and {of_batch:.2f} for a batch, "
          f"from one of 1/{scale:.1f}), taken {status('VmHWM') - held + network:.2f} GB; the largest batch is "
          f"{largest:.2f} times as large")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, default=6, help="measured batches a case")
    parser.add_argument("--case", nargs="+", default=["chunks", "whole"], choices=["chunks", "whole"])
    parser.add_argument("--batch-frames", type=int, default=9600)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--optimizer", default="adam", choices=["adam", "adamw", "sgd"])
    parser.add_argument("--workers", type=int, default=0, help="processes that read; 0: features in memory")
    parser.add_argument("--usual-memory", action="store_true", help="without sertools.training.memory")
    parser.add_argument("--memory", action="store_true", help="the peak of one batch beside what was foretold")
    parser.add_argument("--profile", action="store_true", help="seconds a batch by section")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.usual_memory:
        keep_freed_memory()
    wait: Callable[[], Any] = torch.cuda.synchronize if options.device == "cuda" and options.profile else lambda: None
    print(f"torch {torch.__version__}, {options.threads} threads, {options.device}, {options.precision}")
    for case in options.case:
        generator = np.random.default_rng(1)
        total = options.batch_frames * (options.batches + 3)
        if case == "chunks":
            lengths = [150] * (total // 150)
        else:
            lengths = [int(n) for n in generator.integers(150, 1200, total // 675 + 1)]
        with tempfile.TemporaryDirectory() as name:
            entries = corpus(Path(name), lengths, 2)
            graphs, lexicon = graphs_of(entries)
            config = AsrConfig(
                model=AcousticModelConfig(TdnnfConfig(ivector_dim=100)),
                data=DataConfig(batch_frames=options.batch_frames, memory_gb=0.0 if options.workers else 64.0,
                                workers=options.workers, frame_shift=False),
                training=TrainingConfig(optimizer=options.optimizer), dropout="0.2,0.2", precision=options.precision,
            )  # fmt: skip
            dev = Reader(entries[:1], 1.0)
            task = AsrTask(config, graphs, lexicon, Reader(entries, config.data.memory_gb), dev, seed=1,
                           device=options.device)  # fmt: skip
            if options.memory:
                memory(task, batch_frames=options.batch_frames)
                continue
            clock = Clock(wait, time.perf_counter if options.device == "cuda" else time.process_time)
            rates, by_processor = measure(task, options.batches, clock)
        size = sum(p.numel() for p in task.model.parameters())
        print(f"{case}: {statistics.median(rates):.0f} input frames a second ({min(rates):.0f} to {max(rates):.0f}), "
              f"{statistics.median(by_processor):.0f} a second of processor time, "
              f"{size} parameters, {graphs.topology.num_pdfs} outputs, denominator of "
              f"{graphs.denominator.num_states} states and {graphs.denominator.num_arcs} arcs")  # fmt: skip
        if options.profile:
            shares = "  ".join(f"{name} {value / options.batches:.3f}" for name, value in clock.seconds.items())
            print(f"  seconds a batch: {shares}")


if __name__ == "__main__":
    main()
