"""Utterances of one vector each, such as functionals: what systems on them read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sertools.emotion.data import check_all_found
from sertools.emotion.system import Label
from sertools.errors import UserError
from sertools.features.access import join_cuts, read


@dataclass(frozen=True)
class Vector:
    """One utterance.

    Attributes:
        id, speaker, corpus: as in folds and predictions.
        label: index of its class, or its value.
        gender: as the manifest has it; empty if it does not say.
        features: float32 (F,).
    """

    id: str
    speaker: str
    corpus: str
    label: Label
    gender: str
    features: Tensor


def load_vectors(cuts: Sequence[Path], labels: Mapping[str, Label], names: Sequence[str]) -> dict[str, Vector]:
    """Read labelled utterances.

    Args:
        cuts: manifests, joined by utterance.
        labels: utterance to label.
        names: of arrays of one row an utterance, which are put side by side.

    Raises:
        UserError: an utterance is not in the cuts, has no such array, or one of several rows.
    """
    found: dict[str, Vector] = {}
    for cut in join_cuts(cuts):
        if cut.id not in labels:
            continue
        rows = [read(cut, name) for name in names]
        for name, row in zip(names, rows, strict=True):
            if row.dim() != 2 or len(row) != 1:
                raise UserError(
                    f"{cuts[0]}: {cut.id} has {name} of shape {tuple(row.shape)}, and this system reads one row an "
                    "utterance; take functionals, or statistics of layers"
                )
        if not cut.supervisions:
            raise UserError(
                f"{cuts[0]}: {cut.id} has no supervision, so nobody knows its speaker; keep them in the cuts"
            )
        told = cut.supervisions[0]
        found[cut.id] = Vector(
            id=cut.id,
            speaker=str(told.speaker),
            corpus=str((told.custom or {}).get("corpus", "unknown")),
            label=labels[cut.id],
            gender=str(told.gender or ""),
            features=torch.cat(rows, 1)[0],
        )
    check_all_found(labels, found, str(cuts[0]), cuts)
    return found


def moments(vectors: Iterable[Vector]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (F,) of vectors, float32; a feature that does not vary has deviation 1."""
    matrix = torch.stack([vector.features for vector in vectors]).double()
    mean, std = matrix.mean(0), matrix.std(0, unbiased=False)
    constant = std <= 1e-7 * mean.abs() + 1e-12
    return mean.float(), torch.where(constant, torch.ones(()).double(), std).float()


def matrix_of(vectors: Sequence[Vector]) -> Tensor:
    """float32 (N, F)."""
    return torch.stack([vector.features for vector in vectors])
