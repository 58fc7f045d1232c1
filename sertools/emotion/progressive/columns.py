"""A trained column as a run keeps it, and the frozen ones that a new one reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sertools.config import from_dict
from sertools.emotion.progressive.config import ProgressiveConfig
from sertools.errors import UserError
from sertools.models.columns import ColumnConfig, Columns
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


@torch.no_grad()
def frozen_layers(sources: Sequence[Source], x: Tensor) -> list[list[Tensor]]:
    """Of each frozen column the outputs of its hidden layers (N, D), in evaluation mode, without gradients.

    Args:
        sources: frozen columns of one network.
        x: (N, F), as the network reads them.
    """
    layers = []
    for source in sources:
        column = Columns(source.config, source.num_features, source.num_outputs, [0])
        column.load_state_dict(source.weights)
        layers.append([h[0] for h in column.to(x.device).eval().hidden(x[None])])
    return layers


class Reading:
    """What the networks of a stack read of utterances: computed once, as frozen columns do not change.

    Args:
        method: of :class:`sertools.emotion.progressive.config.ProgressiveConfig`.
        x: (N, F), utterances.
        scales: of each network mean and standard deviation (F,) of the features.
        sources: of each network its frozen columns, if it reads them.
    """

    def __init__(
        self, method: str, x: Tensor, scales: Sequence[tuple[Tensor, Tensor]], sources: Sequence[Sequence[Source]]
    ) -> None:
        self._count = len(x)
        features, sides = [], []
        for (mean, std), own in zip(scales, sources, strict=True):
            standard = (x - mean.to(x.device)) / std.to(x.device)
            layers = frozen_layers(own, standard) if method in ("progressive", "probe") else []
            if method == "probe":
                standard = torch.cat([h for column in layers for h in column], 1)
            elif layers:
                of_layer = [torch.cat(same, 1) for same in zip(*layers, strict=True)]
                self._widths = [one.shape[1] for one in of_layer]
                sides.append(torch.cat(of_layer, 1))
            features.append(standard)
        self._features = torch.cat(features)
        self._sides = torch.cat(sides) if sides else None

    def __call__(self, which: Tensor, index: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """See :data:`sertools.training.stacked.Inputs`."""
        rows = (index + self._count * which.to(index.device)[:, None]).view(-1)
        shape = (*index.shape, -1)
        x = self._features.index_select(0, rows).view(shape)
        if self._sides is None:
            return x, ()
        return x, self._sides.index_select(0, rows).view(shape).split(self._widths, 2)


def bytes_of_a_network(method: str, sources: Sequence[Source], utterances: int) -> int:
    """What :class:`Reading` holds of frozen columns for one network."""
    reads = method in ("progressive", "probe")
    return 4 * utterances * sum(sum(source.config.hidden) for source in sources) * reads
