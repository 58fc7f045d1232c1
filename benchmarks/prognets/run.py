#!/usr/bin/env python3
"""S2's networks at IEMOCAP's size: a stack beside one network after the other, and beside its matrix products alone.

    . path.sh; benchmarks/prognets/run.py [--networks 20] [--threads 2] [--batch 64] [--epochs 2]

5531 utterances of 88 random features, ten folds.  Each of the networks trains for some epochs: as a stack, as torch's
own layers, loss and Adam one network after the other, and the same matrix products with nothing around them.  Given
are milliseconds an update of one network, medians of rounds in turn.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sertools.models.columns import ColumnConfig, Columns
from sertools.training.stacked import Lesson, Stack, StackConfig, train_stack

UTTERANCES, FEATURES, CLASSES = 5531, 88, 4
S2 = ColumnConfig()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--networks", type=int, default=20, help="in the stack")
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--batch", type=int, default=64, help="utterances of a batch")
    arguments.add_argument("--epochs", type=int, default=1, help="of a round")
    arguments.add_argument("--rounds", type=int, default=3)
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
    print(
        f"torch {torch.__version__}, {options.threads} threads, {options.networks} networks, batches of {options.batch}"
    )
    for name, source in (("DNN", None), ("ProgNet", S2)):
        ways: dict[str, Callable[[], None]] = {
            "stack": lambda: stacked(features, labels, lessons, options, source),  # noqa: B023
            "one by one": lambda: alone(features, labels, lessons[:2], options, source),  # noqa: B023
            "matrix products": lambda: products(options, updates, source),  # noqa: B023
        }
        trained = {"stack": options.networks, "one by one": 2, "matrix products": options.networks}
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, run in ways.items():
                start = time.perf_counter()
                run()
                times[way].append(1e3 * (time.perf_counter() - start) / updates / trained[way])
        medians = {way: sorted(found)[len(found) // 2] for way, found in times.items()}
        for way, value in medians.items():
            print(f"{name:8} {way:16} {value:7.3f} ms an update  x {value / medians['stack']:.2f}")


def stacked(
    features: Tensor,
    labels: Tensor,
    lessons: Sequence[Lesson],
    options: argparse.Namespace,
    source: ColumnConfig | None,
) -> None:
    """The project's own way, dev scores included."""
    seeds = [lesson.seed for lesson in lessons]
    frozen = Columns(S2, FEATURES, CLASSES, seeds).eval().requires_grad_(False) if source else None
    model = Columns(S2, FEATURES, CLASSES, seeds, [source.hidden] if source else ())

    def forward(which: Tensor, index: Tensor, masks: Sequence[Tensor] | None) -> Tensor:
        x = features[index]
        return model(x, [frozen.hidden(x)] if frozen is not None else (), masks)

    stack = Stack(model, forward, lessons, labels, (CLASSES,), S2.hidden, S2.dropout)
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
    features: Tensor,
    labels: Tensor,
    lessons: Sequence[Lesson],
    options: argparse.Namespace,
    source: ColumnConfig | None,
) -> None:
    """One network after the other, as a user of torch would write it."""
    for lesson in lessons:
        model = Alone(Alone() if source else None)
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
        for _ in range(options.epochs):
            model.train()
            for batch in lesson.train[torch.randperm(len(lesson.train))].split(options.batch):
                optimizer.zero_grad(set_to_none=True)
                nn.functional.cross_entropy(model(features[batch]), labels[batch, 0]).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                model(features[lesson.dev]).argmax(1)


def products(options: argparse.Namespace, updates: int, source: ColumnConfig | None) -> None:
    """The batched products of forward and backward, and nothing else."""
    model = Columns(S2, FEATURES, CLASSES, range(options.networks), [source.hidden] if source else ())
    weights = [p.detach() for name, p in model.named_parameters() if name.endswith("weight")]
    inputs = [torch.randn(len(w), options.batch, w.shape[1]) for w in weights]
    outputs = [torch.randn(len(w), options.batch, w.shape[2]) for w in weights]
    own = len(S2.hidden) + 1
    for _ in range(updates):
        for number, (w, x, g) in enumerate(zip(weights, inputs, outputs, strict=True)):
            torch.bmm(x, w)
            torch.bmm(x.transpose(1, 2), g)
            if 0 < number < own:  # nothing is differentiated by features, nor by a frozen column
                torch.bmm(g, w.transpose(1, 2))
        if source:
            for w, x in zip(weights[: own - 1], inputs[: own - 1], strict=True):
                torch.bmm(x, w)


if __name__ == "__main__":
    main()
