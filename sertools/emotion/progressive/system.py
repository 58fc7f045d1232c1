"""S2's systems: many runs trained together as one stack (:mod:`sertools.training.stacked`)."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sertools.config import from_dict, to_dict
from sertools.emotion.progressive.columns import OWN, Reading, Source, bytes_of_a_network, random_source
from sertools.emotion.progressive.config import ProgressiveConfig
from sertools.emotion.system import Applied, Fit, Label, Predicted, RunData, predict_parts
from sertools.emotion.vectors import Vector, load_vectors, matrix_of, moments
from sertools.errors import UserError
from sertools.files import json_hash
from sertools.models.column_passes import Passes
from sertools.models.columns import ColumnConfig, Columns
from sertools.partitions.target import Target
from sertools.training.checkpoint import load_checkpoint
from sertools.training.distributed import Stopped
from sertools.training.footprint import announce_stack
from sertools.training.loop import Conditions
from sertools.training.run import CHECKPOINT
from sertools.training.stacked import Lesson, Stack, train_stack

log = logging.getLogger(__name__)

MEMORY = 2**30
"""Bytes that a stack may hold of frozen columns; networks that do not fit in are trained as the next stack."""
OVER_CORPUS = "features standardised over the whole corpus, tested utterances among them (as S2 does)"


class ProgressiveSystem:
    """See :mod:`sertools.emotion.system`.

    Args:
        config: settings.
        sources: of this run, in the order of ``config.sources``.
    """

    def __init__(self, config: ProgressiveConfig, sources: Sequence[Source] = ()) -> None:
        self.config = config
        self.sources = tuple(sources)
        self.reading = config.features

    def remarks(self, features: Sequence[Any]) -> list[str]:
        """Whether tested utterances are in the statistics."""
        return [OVER_CORPUS] if self.config.normalise == "corpus" else []

    def read(self, cuts: Sequence[Path], labels: Mapping[str, Label]) -> dict[str, Vector]:
        """Utterances with their vectors."""
        found = load_vectors(cuts, labels, self.config.features)
        self._everything = list(found.values())
        return found

    def fit_together(self, runs: Sequence[RunData], conditions: Conditions) -> Iterator[tuple[int, Fit]]:
        """Train the networks of runs, so many at once as ``training.networks_at_once`` says."""
        size = min(self.config.training.networks_at_once, self._fitting(runs))
        for start in range(0, len(runs), size):
            some = runs[start : start + size]
            done = len(runs[:start])

            def progress(one: int, total: int, done: int = done, count: int = len(some)) -> None:
                # in epochs of networks; those of other stacks have as many
                share = total // count
                conditions.progress_bar(done * share + one, len(runs) * share)

            for number, fit in enumerate(self._train(some, conditions, progress)):
                yield start + number, fit

    def _fitting(self, runs: Sequence[RunData]) -> int:
        """How many networks' frozen columns fit into memory at once, for all utterances."""
        num_features = len(runs[0].train[0].features)
        sources = _all_sources(self.config, self.sources, num_features, 0)
        return max(1, MEMORY // max(1, bytes_of_a_network(self.config.method, sources, len(self._everything))))

    def _train(self, runs: Sequence[RunData], conditions: Conditions, progress: Any) -> list[Fit]:
        group = _Group.of(runs, self.config)
        weights = (1.0, self.config.multitask.weight) if self.config.multitask is not None else (1.0,)
        device = conditions.device
        reading = Reading(self.config.method, group.x.to(device), group.scales, group.sources)
        stack = Stack(
            Passes(group.columns.to(device)), reading, group.lessons, group.labels.to(device), group.heads, weights
        )
        kept_of_frozen = len(runs) * bytes_of_a_network(self.config.method, group.sources[0], len(group.x))
        announce_stack(stack.networks.weights, 4 * group.x.numel() + kept_of_frozen, "training.networks_at_once")
        key = json_hash([lesson.key for lesson in group.lessons])[:16]
        state = runs[0].directory.parents[1] / f".stack-{key}.safetensors"
        learnt = train_stack(stack, self.config.training, state, should_stop=conditions.should_stop, progress=progress)
        if learnt is None:
            raise Stopped("stopped after an epoch of the stack; the same command goes on from there")
        fits = []
        for number, one in enumerate(learnt):
            kept = {f"{OWN}{name}": value.cpu() for name, value in one.weights.items()}
            for position, source in enumerate(group.sources[number]):
                kept |= {f"source.{position}.{name}": value for name, value in source.weights.items()}
            kept |= {"mean": group.scales[number][0], "std": group.scales[number][1]}
            entry = one.history[one.best_epoch - 1]
            about = {"best_epoch": one.best_epoch, "dev": entry, "heads": list(group.heads)}
            about["sources"] = [to_dict(source.config) for source in group.sources[number]]
            last = one.history[-1]
            run = runs[number].run
            log.info(
                "fold %s, seed %d: %d epochs of %.4g updates, %d updates; the best is epoch %d, after %d updates: "
                "dev UA %.1f", run.fold, run.seed, last["epoch"], last["updates"] / last["epoch"], last["updates"],
                one.best_epoch, entry["updates"], 100 * entry["dev_ua"],
            )  # fmt: skip
            fits.append(Fit(kept, about, one.history))
        return fits

    def predict(self, run: Path, target: Target, parts: Mapping[str, Sequence[Vector]], device: str) -> Predicted:
        """Softmax of the target's scores."""
        checkpoint = load_checkpoint(run / CHECKPOINT)
        width = next(len(one.features) for ones in parts.values() for one in ones)
        sources = _all_sources(self.config, self.sources, width, checkpoint.config["seed"])
        _check_unchanged(checkpoint.weights, sources, run)
        return predict_parts(self.trained(run, target, device), parts)

    def trained(self, run: Path, target: Target, device: str) -> Applied:
        """See :class:`sertools.emotion.system.Applicable`; frozen columns are those that were kept with the run."""
        checkpoint = load_checkpoint(run / CHECKPOINT)
        weights, heads = checkpoint.weights, [int(size) for size in checkpoint.info["heads"]]
        sources = _kept_sources(self.config, weights, checkpoint.info, run)
        columns = _own_columns(self.config, len(weights["mean"]), heads, sources, [0])
        columns.load_state_dict({n[len(OWN) :]: v for n, v in weights.items() if n.startswith(OWN)})
        columns.to(device).eval()

        @torch.no_grad()
        def applied(rows: Sequence[Vector]) -> tuple[Sequence[Vector], Tensor]:
            x = matrix_of(rows).to(device)
            reading = Reading(self.config.method, x, [(weights["mean"], weights["std"])], [sources])
            read, sides = reading(torch.zeros(1, dtype=torch.int64), torch.arange(len(x), device=device)[None])
            scores = columns(read, [sides] if sides else ())
            return rows, torch.softmax(scores[0, :, : heads[0]].cpu(), 1)

        return applied


@dataclass(frozen=True)
class _Group:
    """Runs that are trained as one stack.

    Attributes:
        x: (N, F) of all utterances of any of them.
        scales: mean and standard deviation (F,) of the features, of each run.
        labels: (N, heads).
        heads: sizes of output blocks.
        lessons, sources: of each run.
        columns: initialised.
    """

    x: Tensor
    scales: list[tuple[Tensor, Tensor]]
    labels: Tensor
    heads: tuple[int, ...]
    lessons: list[Lesson]
    sources: list[list[Source]]
    columns: Columns

    @staticmethod
    def of(runs: Sequence[RunData], config: ProgressiveConfig) -> "_Group":
        """Put it together.

        Raises:
            UserError: the target is a number; a source reads other features, or has another depth.
        """
        if runs[0].target.kind != "classes":
            raise UserError("a system of the kind progressive recognises classes, and the folds' target is a number")
        # by label, too: what one fold's runs know of an utterance, another's may guess
        utterances: dict[tuple[str, int], Vector] = {}
        for run in runs:
            everything = run.system._everything if config.normalise == "corpus" else []
            for vector in [*run.train, *run.dev, *everything]:
                utterances.setdefault(_row(vector), vector)
        rows = {name: number for number, name in enumerate(utterances)}
        vectors = list(utterances.values())
        x = matrix_of(vectors)
        labels, heads = _labels(vectors, runs, config)
        scales = [moments(run.system._everything if config.normalise == "corpus" else run.train) for run in runs]
        sources = [_all_sources(config, run.system.sources, x.shape[1], run.run.seed) for run in runs]
        seeds = [_seed(run) for run in runs]
        columns = _own_columns(config, x.shape[1], list(heads), sources[0], seeds)
        if config.method == "finetune":
            columns.start_from(_stacked([one[0] for one in sources]))
        lessons = [
            Lesson(
                torch.tensor([rows[_row(v)] for v in run.train]), torch.tensor([rows[_row(v)] for v in run.dev]), seed,
                _key(run, labels, rows, x, own),
            )
            for run, seed, own in zip(runs, seeds, sources, strict=True)
        ]  # fmt: skip
        return _Group(x, scales, labels, heads, lessons, sources, columns)


def _row(vector: Vector) -> tuple[str, int]:
    return vector.id, int(vector.label)


def _labels(
    vectors: Sequence[Vector], runs: Sequence[RunData], config: ProgressiveConfig
) -> tuple[Tensor, tuple[int, ...]]:
    labels = torch.tensor([[int(vector.label)] for vector in vectors])
    heads: tuple[int, ...] = (runs[0].target.num_outputs,)
    if config.multitask is None:
        return labels, heads
    told = [getattr(vector, config.multitask.field) for vector in vectors]
    if not all(told):
        unknown = vectors[told.index("")].id
        raise UserError(f"multitask.field: nobody knows the {config.multitask.field} of {unknown}")
    index = {name: number for number, name in enumerate(sorted(set(told)))}
    extra = torch.tensor([[index[name]] for name in told])
    return torch.cat([labels, extra], 1), (*heads, len(index))


def _all_sources(config: ProgressiveConfig, given: Sequence[Source], num_features: int, seed: int) -> list[Source]:
    """Those that are given, and random ones, checked.

    Raises:
        UserError: one does not fit.
    """
    # drawn apart from the network's own weights
    drawn = [
        random_source(config.model, num_features, 1_000_003 * (seed + 1) + n, config.features)
        for n in range(config.random_sources)
    ]
    for name, source in zip(config.sources, given, strict=True):
        if source.features != config.features or source.num_features != num_features:
            raise UserError(
                f"the source {name} reads {', '.join(source.features)} ({source.num_features} values), this system "
                f"{', '.join(config.features)} ({num_features}); both must read the same features"
            )
        if config.method == "progressive" and len(source.config.hidden) != len(config.model.hidden):
            raise UserError(
                f"the source {name} has {len(source.config.hidden)} hidden layers, this network "
                f"{len(config.model.hidden)}; layer by layer they must be as many (model.hidden)"
            )
        if config.method == "finetune" and source.config.hidden != config.model.hidden:
            raise UserError(
                f"the source {name} has hidden layers of {list(source.config.hidden)}, this network of "
                f"{list(config.model.hidden)}; to start from it they must be equal (model.hidden)"
            )
    return [*given, *drawn]


def _kept_sources(
    config: ProgressiveConfig, weights: Mapping[str, Tensor], info: Mapping[str, Any], run: Path
) -> list[Source]:
    """The frozen columns as a run keeps them."""
    shapes = info.get("sources")
    if shapes is None:
        raise UserError(f"{run / CHECKPOINT} does not say the shape of its frozen columns; train it again")
    found = []
    for position, shape in enumerate(shapes):
        prefix = f"source.{position}."
        own = {name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)}
        found.append(Source(from_dict(ColumnConfig, shape, f"{run / CHECKPOINT}/info.json"), own, config.features))
    return found


def _own_columns(
    config: ProgressiveConfig, num_features: int, heads: Sequence[int], sources: Sequence[Source], seeds: Sequence[int]
) -> Columns:
    if config.method == "probe":
        width = sum(sum(source.config.hidden) for source in sources)
        return Columns(ColumnConfig(hidden=()), width, sum(heads), seeds)
    reads = [source.config.hidden for source in sources] if config.method == "progressive" else []
    return Columns(config.model, num_features, sum(heads), seeds, reads)


def _stacked(sources: Sequence[Source]) -> Columns:
    first = sources[0]
    stack = Columns(first.config, first.num_features, first.num_outputs, [0] * len(sources))
    stack.load_state_dict({name: torch.cat([one.weights[name] for one in sources]) for name in first.weights})
    return stack


def _seed(run: RunData) -> int:
    """A network of another fold is drawn anew, too."""
    return int(json_hash([run.run.seed, run.run.fold])[:12], 16)


def _key(
    run: RunData, labels: Tensor, rows: Mapping[tuple[str, int], int], x: Tensor, sources: Sequence[Source]
) -> str:
    """Hash of what the training of a run depends on besides the configuration."""
    of_part = [[v.id for v in run.train], [v.id for v in run.dev]]
    used = [rows[_row(vector)] for part in (run.train, run.dev) for vector in part]
    sums = [float(value.double().sum()) for source in sources for value in source.weights.values()]
    values = x[used].double()
    return json_hash([of_part, labels[used].tolist(), float(values.sum()), float(values.square().sum()), sums])


def _check_unchanged(weights: Mapping[str, Tensor], sources: Sequence[Source], run: Path) -> None:
    """Frozen columns are what they were, to the bit."""
    for position, source in enumerate(sources):
        for name, value in source.weights.items():
            if not torch.equal(weights[f"source.{position}.{name}"], value):
                raise UserError(f"{run}: its frozen column {position + 1} is not that of its source; train it again")
