"""A support vector machine as a system: fitted at once, its cost chosen on dev."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sertools.emotion.svm.config import SvmConfig
from sertools.emotion.svm.machine import Machine, fit_classes, fit_number
from sertools.emotion.system import Applied, Fit, Label, Predicted, RunData, predict_parts
from sertools.emotion.vectors import Vector, load_vectors, matrix_of, moments
from sertools.evaluation.stats.metrics import confusion, unweighted_accuracy
from sertools.partitions.target import Target
from sertools.training.checkpoint import load_checkpoint
from sertools.training.loop import Conditions
from sertools.training.run import CHECKPOINT

SHARPNESS = 3.0
"""Probabilities are a softmax of so many times the decision values; temperatures fitted on dev do the rest."""


class SvmSystem:
    """See :mod:`sertools.emotion.system`."""

    def __init__(self, config: SvmConfig) -> None:
        self.config = config
        self.reading = config.features

    def remarks(self, features: Sequence[Any]) -> list[str]:
        """Nothing: each utterance is recognised by itself."""
        return []

    def read(self, cuts: Sequence[Path], labels: Mapping[str, Label]) -> dict[str, Vector]:
        """Utterances with their vectors."""
        return load_vectors(cuts, labels, self.config.features)

    def fit(self, run: RunData, conditions: Conditions) -> Fit:
        """Fit with each cost, and keep the one that is best on dev; of equal ones the smallest."""
        mean, std = moments(run.train)
        train, dev = ((matrix_of(part) - mean) / std for part in (run.train, run.dev))
        best: tuple[float, float, Machine] | None = None
        told: dict[str, float] = {}
        for number, cost in enumerate(sorted(self.config.costs)):
            machine = self._fit(run, train, cost)
            score = self._dev_score(run, machine, dev)
            told[f"{cost:g}"] = abs(score)
            if best is None or score > best[0]:
                best = score, cost, machine
            conditions.progress_bar(number + 1, len(self.config.costs))
        assert best is not None
        _, cost, machine = best
        name = "dev_ua" if run.target.kind == "classes" else "dev_rmse"
        return Fit({**machine.weights(), "mean": mean, "std": std, **_scale(run)}, {"cost": cost, name: told})

    def _fit(self, run: RunData, x: Tensor, cost: float) -> Machine:
        if run.target.kind == "number":
            values = torch.tensor([float(u.label) for u in run.train], dtype=torch.float64)
            scale = _scale(run)
            return fit_number(x, (values - scale["value_mean"]) / scale["value_std"], self.config.kernel, cost)
        labels = torch.tensor([int(u.label) for u in run.train])
        balanced = self.config.class_weights == "balanced"
        return fit_classes(x, labels, run.target.num_outputs, self.config.kernel, cost, balanced)

    def _dev_score(self, run: RunData, machine: Machine, dev: Tensor) -> float:
        """The higher the better."""
        values = machine(dev)
        if run.target.kind == "number":
            scale = _scale(run)
            truth = torch.tensor([float(u.label) for u in run.dev], dtype=torch.float64)
            return -float((values[:, 0] * scale["value_std"] + scale["value_mean"] - truth).square().mean().sqrt())
        truth = torch.tensor([int(u.label) for u in run.dev])
        return float(unweighted_accuracy(confusion(truth.numpy(), values.argmax(1).numpy(), run.target.num_outputs)))

    def predict(self, run: Path, target: Target, parts: Mapping[str, Sequence[Vector]], device: str) -> Predicted:
        """Softmax of decision values, or values of a number."""
        return predict_parts(self.trained(run, target, device), parts)

    def trained(self, run: Path, target: Target, device: str) -> Applied:
        """See :class:`sertools.emotion.system.Applicable`."""
        weights = load_checkpoint(run / CHECKPOINT).weights
        machine = Machine.of(self.config.kernel, weights)

        def applied(rows: Sequence[Vector]) -> tuple[Sequence[Vector], Tensor]:
            values = machine((matrix_of(rows) - weights["mean"]) / weights["std"])
            if target.kind == "number":
                return rows, values[:, 0] * weights["value_std"] + weights["value_mean"]
            return rows, torch.softmax(SHARPNESS * values, 1)

        return applied


def _scale(run: RunData) -> dict[str, Tensor]:
    """Mean and deviation of a number target over the training part; nothing for classes."""
    if run.target.kind != "number":
        return {}
    values = torch.tensor([float(u.label) for u in run.train], dtype=torch.float64)
    return {"value_mean": values.mean()[None], "value_std": values.std(unbiased=False).clamp(min=1e-6)[None]}
