#!/usr/bin/env python3
"""S2's networks at IEMOCAP's size: a stack beside one network after the other, and beside its matrix products alone.

    . path.sh; benchmarks/prognets/run.py [--networks 20] [--batch 64] [--epochs 1]

5531 utterances of 88 random features, ten folds.  Each of the networks trains for some epochs:

* as a stack (dev scores included, and a ProgNet's frozen column, which is computed once);
* by the same program with one network in each stack;
* by torch's own layers, loss and Adam, one network after the other;
* and the batched matrix products that an update needs, with nothing around them.

Given are milliseconds of processor time an update of one network (on a GPU of wall clock), medians of rounds in turn.
One thread: a recipe's jobs share networks, not products.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from sertools.emotion.progressive.columns import Reading, random_source
from sertools.models.column_passes import Passes
from sertools.models.columns import ColumnConfig, Columns
from sertools.training.stacked import Lesson, Stack, StackConfig, train_stack

UTTERANCES, FEATURES, CLASSES = 5531, 88, 4
S2 = ColumnConfig()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--networks", type=int, default=20, help="in the stack")
    arguments.add_argument("--threads", type=int, default=1, help="of torch; numpy's: OPENBLAS_NUM_THREADS")
    arguments.add_argument("--batch", type=int, default=64, help="utterances of a batch")
    arguments.add_argument("--epochs", type=int, default=1, help="of a round")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--device", default="cpu")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(UTTERANCES, FEATURES, generator=generator)
    labels = torch.randint(CLASSES, (UTTERANCES, 1), generator=generator)
    lessons = []
    for number in range(options.networks):
        order = torch.randperm(UTTERANCES, generator=generator)
        lessons.append(
            Lesson(order[: UTTERANCES * 8 // 10], order[UTTERANCES * 8 // 10 : UTTERANCES * 9 // 10], number)
        )
    updates = options.epochs * -(-len(lessons[0].train) // options.batch)
    features, labels = features.to(options.device), labels.to(options.device)
    print(f"torch {torch.__version__}, {options.device}, {options.threads} threads, {options.networks} networks, "
          f"batches of {options.batch}")  # fmt: skip
    for name, progressive in (("DNN", False), ("ProgNet", True)):
        ways: dict[str, tuple[int, Callable[[], None]]] = {
            "stack": (options.networks, partial(stacked, features, labels, lessons, options, progressive)),
            "stacks of one": (2, lambda: [stacked(features, labels, [one], options, progressive)  # type: ignore[dict-item]  # noqa: B023
                                          for one in lessons[:2]]),
            "torch, one by one": (2, partial(alone, features, labels, lessons[:2], options, progressive)),
            "products": (options.networks, partial(products, options, updates, progressive)),
        }  # fmt: skip
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, (trained, train) in ways.items():
                start = now(options.device)
                train()
                times[way].append(1e3 * (now(options.device) - start) / updates / trained)
        medians = {way: sorted(found)[len(found) // 2] for way, found in times.items()}
        for way, value in medians.items():
            print(f"{name:8} {way:20} {value:7.3f} ms an update  x {value / medians['stack']:.2f}", flush=True)


def now(device: str) -> float:
    """Seconds: of this processor, or by the clock when the device has done all it was told."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def stacked(
    features: Tensor, labels: Tensor, lessons: Sequence[Lesson], options: argparse.Namespace, progressive: bool
) -> None:
    """The project's own way."""
    seeds = [lesson.seed for lesson in lessons]
    columns = Columns(S2, FEATURES, CLASSES, seeds, [S2.hidden] if progressive else ())
    frozen = [[random_source(S2, FEATURES, seed, ("functionals",))] for seed in seeds]
    scale = torch.zeros(FEATURES), torch.ones(FEATURES)
    method = "progressive" if progressive else "plain"
    reading = Reading(method, features, [scale] * len(lessons), frozen)
    stack = Stack(Passes(columns.to(options.device)), reading, lessons, labels, (CLASSES,))
    train_stack(stack, StackConfig(epochs=options.epochs, batch_size=options.batch))


class Alone(nn.Module):
    """S2's network of torch's own layers, with a frozen column or without."""

    def __init__(self, frozen: "Alone | None" = None) -> None:
        super().__init__()
        widths = [FEATURES, *S2.hidden, CLASSES]
        side = [0, *(S2.hidden if frozen is not None else [0] * len(S2.hidden))]
        self.layers = nn.ModuleList(nn.Linear(a + s, b) for a, s, b in zip(widths, side, widths[1:], strict=False))
        self.frozen = [frozen] if frozen is not None else []

    def hidden(self, x: Tensor) -> list[Tensor]:
        found = []
        for layer in self.layers[:-1]:
            x = torch.sigmoid(layer(x))
            found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        sides: list[Tensor] = []
        if self.frozen:
            with torch.no_grad():
                sides = self.frozen[0].hidden(x)
        for number, layer in enumerate(self.layers[:-1]):
            if number and sides:
                x = torch.cat([x, sides[number - 1]], 1)
            x = nn.functional.dropout(torch.sigmoid(layer(x)), S2.dropout, self.training)
        last: Tensor = self.layers[-1](torch.cat([x, sides[-1]], 1) if sides else x)
        return last


def alone(
    features: Tensor, labels: Tensor, lessons: Sequence[Lesson], options: argparse.Namespace, progressive: bool
) -> None:
    """One network after the other, as a user of torch would write it."""
    for lesson in lessons:
        model = Alone(Alone() if progressive else None).to(options.device)
        for frozen in model.frozen:
            frozen.to(options.device)
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
        for _ in range(options.epochs):
            model.train()
            for batch in lesson.train[torch.randperm(len(lesson.train))].to(options.device).split(options.batch):
                optimizer.zero_grad(set_to_none=True)
                nn.functional.cross_entropy(model(features[batch]), labels[batch, 0]).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                model(features[lesson.dev]).argmax(1)


def products(options: argparse.Namespace, updates: int, progressive: bool) -> None:
    """The batched products of forward and backward that updates need, and nothing else."""
    columns = Columns(S2, FEATURES, CLASSES, range(options.networks), [S2.hidden] if progressive else ())
    own = len(S2.hidden) + 1
    work = []
    for number, weight in enumerate(p.detach() for name, p in columns.named_parameters() if name.endswith("weight")):
        w = weight.to(options.device)
        x = torch.randn(len(w), options.batch, w.shape[1], device=w.device)
        g = torch.randn(len(w), options.batch, w.shape[2], device=w.device)
        work += [(x, w, torch.empty_like(g)), (x.transpose(1, 2), g, torch.empty_like(w))]
        if 0 < number < own:  # nothing is differentiated by features, nor by a frozen column
            work.append((g, w.transpose(1, 2), torch.empty_like(x)))
    for _ in range(updates):
        for a, b, out in work:
            torch.bmm(a, b, out=out)


if __name__ == "__main__":
    main()
