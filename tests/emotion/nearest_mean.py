"""A toy kind of systems, in one file: an utterance is of the class whose mean is nearest; docs/extending.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from sertools.config import from_dict
from sertools.emotion.data import Reading, Utterance, load_utterances
from sertools.emotion.inputs import Need
from sertools.emotion.kinds import Kind
from sertools.emotion.system import Fit, Label, Predicted, RunData
from sertools.partitions.target import Target
from sertools.training.checkpoint import load_checkpoint
from sertools.training.loop import Conditions


@dataclass(frozen=True)
class NearestMeanConfig:
    """``system: nearest_mean``: which features, and how fast probability falls with the squared distance."""

    system: Literal["nearest_mean"] = "nearest_mean"
    features: tuple[str, ...] = ("features",)
    sharpness: float = 1.0
    shifted: bool = False


@dataclass
class NearestMean:
    """Means (C, F) of the training part; a text file with a number, which moves them, can be given."""

    config: NearestMeanConfig
    shift: float = 0.0

    @property
    def reading(self) -> Reading:
        return Reading(self.config.features, "statistics")

    def remarks(self, features: Any) -> list[str]:
        return ["A TOY: nearest means"]

    def read(self, cuts: Sequence[Path], labels: Mapping[str, Label]) -> dict[str, Utterance]:
        return load_utterances(cuts, labels, self.reading)

    def fit(self, run: RunData, conditions: Conditions) -> Fit:
        rows = torch.cat([u.features for u in run.train])
        labels = torch.tensor([int(u.label) for u in run.train])
        means = [rows[labels == c].mean(0) + self.shift for c in range(run.target.num_outputs)]
        return Fit({"means": torch.stack(means)})

    def predict(self, run: Path, target: Target, parts: Mapping[str, Sequence[Utterance]], device: str) -> Predicted:
        means = load_checkpoint(run / "checkpoint").weights["means"]
        rows = [(part, u) for part, utterances in parts.items() for u in utterances]
        distances = torch.cdist(torch.cat([u.features for _, u in rows]), means).double().square()
        outputs = (-self.config.sharpness * distances).softmax(-1)
        return Predicted([u for _, u in rows], [part for part, _ in rows], outputs)


def read(values: dict[str, Any], where: str) -> NearestMeanConfig:
    return from_dict(NearestMeanConfig, values, where)


def needs(config: NearestMeanConfig) -> tuple[Need, ...]:
    need = Need("shift", "a number to move means by", "hand", of="file", required=config.shifted, kept=True)
    return (need,)


def make(config: NearestMeanConfig, given: Mapping[str, Path]) -> NearestMean:
    return NearestMean(config, float(given["shift"].read_text()) if "shift" in given else 0.0)


KIND = Kind("nearest_mean", read, make, needs)
