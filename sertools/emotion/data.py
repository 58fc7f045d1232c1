"""Utterances in memory, and the batches that training and prediction take from them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from lhotse.cut import Cut
from torch import Tensor

from sertools.errors import UserError
from sertools.features import access
from sertools.features.ivector.reading import load_ivectors
from sertools.features.store import FEATURES
from sertools.models.emotion import Pooling, pool
from sertools.training.batching import Part, plan_batches

Normalise = Literal["none", "speaker"]


@dataclass(frozen=True)
class Reading:
    """What is read of a cut.

    Attributes:
        arrays: names of features of the cut (:func:`sertools.features.access.find`) that are put side by side,
            ``ssl:3`` for one layer of several; empty for the cut's own.
        pooling: of all rows of an utterance, done while reading.
        ivector_dim: dimension of the i-vectors to read too; 0 for none.
        normalise: ``speaker`` gives every dimension mean 0 and variance 1 over each speaker's own
            utterances.  It needs no labels, but several utterances of a speaker at once, also of
            one who is tested.
    """

    arrays: tuple[str, ...] = ()
    pooling: Pooling = "frames"
    ivector_dim: int = 0
    normalise: Normalise = "none"


@dataclass(frozen=True)
class Utterance:
    """One utterance.

    Attributes:
        id: as in folds and predictions.
        speaker, corpus: who speaks, and where it is from.
        features: (T, F): float32; frames of arrays that were kept by lilcom float16.
        label: index of its class, or its value.
        ivectors: float32 (rows, D), or None.
        ivector_period: frames that a row stands for.
    """

    id: str
    speaker: str
    corpus: str
    features: Tensor
    label: int | float
    ivectors: Tensor | None = None
    ivector_period: int = 10


@dataclass(frozen=True)
class Batch:
    """Some utterances, padded to the longest.

    Attributes:
        utterances: in the order of the rows.
        features: float32 (N, T, F).
        lengths: int64 (N,).
        labels: (N,), int64 classes or float32 values.
        ivectors: float32 (N, D), one of each utterance, or None.
        part: which utterances of a larger batch these are; None: all.
    """

    utterances: tuple[Utterance, ...]
    features: Tensor
    lengths: Tensor
    labels: Tensor
    ivectors: Tensor | None = None
    part: Part | None = None


def load_utterances(
    cuts: Sequence[Path] | Path | str, labels: Mapping[str, int | float], reading: Reading | None = None
) -> dict[str, Utterance]:
    """Read the features of labelled utterances.

    Args:
        cuts: manifests with features, or with arrays of the stages that make them; several are joined.
        labels: utterance id to index of class, or value.
        reading: what is read; None for the features alone.

    Raises:
        UserError: an utterance is not in the cuts, or has no features, no such array, or no such i-vectors.
    """
    reading = reading or Reading()
    paths = [Path(cuts)] if isinstance(cuts, str | Path) else list(cuts)
    where = ", ".join(map(str, paths))
    found = {cut.id: _load(cut, labels[cut.id], reading, where) for cut in access.join_cuts(paths) if cut.id in labels}
    check_all_found(labels, found, where)
    return normalise_speakers(found) if reading.normalise == "speaker" else found


def check_all_found(labels: Mapping[str, Any], found: Mapping[str, object], where: str) -> None:
    """Raise UserError if an utterance that has a label was not found in the cuts."""
    missing = [utterance for utterance in labels if utterance not in found]
    if missing:
        raise UserError(
            f"{len(missing)} utterances of the folds are not in {where} (the first: {missing[0]}); "
            "folds and features come from different manifests: run the stages for folds and features again"
        )


def _load(cut: Cut, label: int | float, reading: Reading, where: str) -> Utterance:
    if not cut.has_features and not reading.arrays:
        raise UserError(f"{where}: {cut.id} has no features; run the feature stage again")
    if not cut.supervisions:
        raise UserError(f"{where}: {cut.id} has no supervision, so nobody knows its speaker; keep them in the cuts")
    supervision = cut.supervisions[0]
    track = load_ivectors(cut) if reading.ivector_dim else None
    if track is not None and track.values.shape[1] != reading.ivector_dim:
        raise UserError(
            f"{where}: i-vectors have dimension {track.values.shape[1]}, the network takes {reading.ivector_dim}; "
            f"set model.trunk.ivector_dim: {track.values.shape[1]}, or extract others"
        )
    rows = torch.cat([_rows(cut, name, reading) for name in reading.arrays or (FEATURES,)], 1)
    return Utterance(
        id=cut.id,
        speaker=str(supervision.speaker),
        corpus=str((supervision.custom or {}).get("corpus", "unknown")),
        features=pool(rows[None], torch.tensor([len(rows)]), reading.pooling)[0][0],
        label=label,
        ivectors=track.values if track is not None else None,
        ivector_period=track.period if track is not None else 10,
    )


def _rows(cut: Cut, name: str, reading: Reading) -> Tensor:
    """Features of a cut, (T, F); frames of arrays that lilcom keeps are float16, which is still finer."""
    name, colon, layer = name.partition(":")
    place = access.find(cut, name)
    rows = place.read(int(layer) if colon else None)
    if rows.dim() != 2:
        raise UserError(f"{cut.id}: {name} has {len(rows)} layers; say which one is read, {name}:0, {name}:1, ...")
    coarse = name != FEATURES and place.kind.startswith("lilcom") and reading.pooling == "frames"
    return rows.half() if coarse else rows


def normalise_speakers(utterances: dict[str, Utterance]) -> dict[str, Utterance]:
    """Give each speaker's features mean 0 and variance 1 over all of the speaker's rows.

    Raises:
        UserError: a speaker has a single row, which says nothing of a variance.
    """
    by_speaker: dict[str, list[Utterance]] = {}
    for utterance in utterances.values():
        by_speaker.setdefault(utterance.speaker, []).append(utterance)
    moments = {}
    for name, group in by_speaker.items():
        if sum(len(u.features) for u in group) < 2:
            raise UserError(f"speaker {name} has one utterance, too little for normalise: speaker")
        moments[name] = mean_and_deviation(u.features for u in group)
    return {name: replace(u, features=_normalised(u.features, *moments[u.speaker])) for name, u in utterances.items()}


def _normalised(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return ((x.float() - mean) / std.clamp(min=1e-4)).to(x.dtype)


def mean_and_deviation(matrices: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and (biased) standard deviation over the rows of matrices (T, F), each float32 (F,)."""
    rows, total, square = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    shift: Tensor | None = None
    for x in matrices:
        x = x.double()
        # about a typical value, so that the difference of large squares keeps its digits
        shift = x.mean(0) if shift is None else shift
        x = x - shift
        rows += len(x)
        total = total + x.sum(0)
        square = square + x.square().sum(0)
    assert shift is not None
    mean = total / rows
    return (shift + mean).float(), (square / rows - mean.square()).clamp(min=0.0).sqrt().float()


def collate(
    utterances: Sequence[Utterance],
    max_frames: int = 0,
    generator: torch.Generator | None = None,
    part: Part | None = None,
    *,
    scattered: bool = False,
) -> Batch:
    """Make a batch.

    Args:
        utterances: at least one.
        max_frames: longer utterances are cut to a random stretch of this length; 0 for never.
        generator: places the stretch, and picks an i-vector at random within it, as Kaldi does in
            training.  Without it, the last i-vector is taken, which has heard the whole utterance.
        scattered: frames of longer utterances are drawn from all of it in place of a stretch, for
            what classifies each frame by itself: neighbours say much the same.
        part: which of them become the batch, None for all; what is random does not depend on it.

    Returns:
        The batch, in float32.
    """
    features, ivectors = [], []
    for utterance in utterances:
        x = utterance.features
        start = 0
        if 0 < max_frames < len(x) and scattered:
            x = x[torch.randperm(len(x), generator=generator)[:max_frames]]
        elif 0 < max_frames < len(x):
            start = int(torch.randint(len(x) - max_frames + 1, (1,), generator=generator))
            x = x[start : start + max_frames]
        features.append(x)
        if utterance.ivectors is not None:
            frame = start + len(x) - 1
            if generator is not None:
                frame = start + int(torch.randint(len(x), (1,), generator=generator))
            ivectors.append(utterance.ivectors[min(frame // utterance.ivector_period, len(utterance.ivectors) - 1)])
    if part is not None:
        utterances, features, ivectors = utterances[part.rows], features[part.rows], ivectors[part.rows]
    return Batch(
        utterances=tuple(utterances),
        features=torch.nn.utils.rnn.pad_sequence([x.float() for x in features], batch_first=True),
        lengths=torch.tensor([len(x) for x in features]),
        labels=torch.tensor([utterance.label for utterance in utterances]),
        ivectors=torch.stack(ivectors) if ivectors else None,
        part=part,
    )


def batches_in_order(utterances: Sequence[Utterance], batch_frames: int) -> Iterator[Batch]:
    """Whole utterances, batched by length, for evaluation and prediction."""
    for indices in plan_batches([len(u.features) for u in utterances], batch_frames, None):
        yield collate([utterances[i] for i in indices])
