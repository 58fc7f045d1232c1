"""A trained column as a run keeps it, and the frozen ones that a new one reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sertools.config import from_dict
from sertools.emotion.progressive.config import ProgressiveConfig
from sertools.errors import UserError
from sertools.models.columns import ColumnConfig, Columns, rows
from sertools.training.checkpoint import load_checkpoint

MADE_BY = "the training of the source (local/train_emotion.py)"
OWN = "column."


@dataclass(frozen=True)
class Source:
    """A frozen column.

    Attributes:
        config: its shape.
        weights: of one network, (1, ...) each.
        features: names of the arrays that it reads.
    """

    config: ColumnConfig
    weights: dict[str, Tensor]
    features: tuple[str, ...]

    @property
    def num_features(self) -> int:
        return int(self.weights["layers.0.weight"].shape[1])

    @property
    def num_outputs(self) -> int:
        return int(self.weights[f"layers.{len(self.config.hidden)}.weight"].shape[2])


def load_source(path: Path) -> Source:
    """The column of a run of this kind, without what it reads of others.

    Raises:
        UserError: it is something else, or reads frozen columns itself.
    """
    checkpoint = load_checkpoint(path, MADE_BY)
    if checkpoint.config.get("system") != "progressive":
        kind = checkpoint.config.get("system", "tdnn")
        raise UserError(f"{path} is a system of the kind {kind}, and the source must be of the kind progressive")
    settings = {key: value for key, value in checkpoint.config.items() if key not in ("seed", "fold")}
    config = from_dict(ProgressiveConfig, settings, f"{path}/config.yaml")
    if config.method in ("progressive", "probe"):
        raise UserError(f"{path} reads frozen columns itself ({config.method}); a source is a plain network")
    weights = {name[len(OWN) :]: value for name, value in checkpoint.weights.items() if name.startswith(OWN)}
    return Source(config.model, weights, config.features)


def random_source(config: ColumnConfig, num_features: int, seed: int, features: tuple[str, ...]) -> Source:
    """A column of random weights, drawn by ``seed``."""
    return Source(config, dict(Columns(config, num_features, 1, [seed]).state_dict()), features)


class Frozen:
    """The frozen columns of R networks: R sources side by side in each of several stacks.

    Args:
        sources: of each network the same number, of the same shapes.
    """

    def __init__(self, sources: Sequence[Sequence[Source]], device: str = "cpu") -> None:
        self.widths = [one.config.hidden for one in sources[0]] if sources else []
        self._stacks = []
        for of_all in zip(*sources, strict=True):
            state = {name: torch.cat([one.weights[name] for one in of_all]).to(device) for name in of_all[0].weights}
            self._stacks.append((of_all[0], state))
        self._which: Tensor | None = None
        self._columns: list[Columns] = []

    @torch.no_grad()
    def __call__(self, which: Tensor, x: Tensor) -> list[list[Tensor]]:
        """Of each frozen column the outputs of its hidden layers (n, B, D), in evaluation mode, without gradients.

        Args:
            which: int64 (n,): networks.
            x: (n, B, F).
        """
        if self._which is None or not torch.equal(self._which, which):
            self._columns = [_columns(first, rows(state, which.to(x.device))) for first, state in self._stacks]
            self._which = which
        return [columns.hidden(x) for columns in self._columns]


def _columns(shape: Source, state: dict[str, Tensor]) -> Columns:
    count = len(next(iter(state.values())))
    columns = Columns(shape.config, shape.num_features, shape.num_outputs, [0] * count)
    columns.load_state_dict(state)
    return columns.to(next(iter(state.values())).device).eval().requires_grad_(False)
