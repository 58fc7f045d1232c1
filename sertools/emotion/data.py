"""Utterances in memory or on disk, and the batches that training and prediction take from them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from lhotse.cut import Cut
from torch import Tensor

from sertools.augmentation.fields import COPY
from sertools.data.batching import Part, plan_batches
from sertools.data.reader import Kept
from sertools.data.statistics import mean_and_deviation
from sertools.errors import UserError
from sertools.features import access
from sertools.features.ivector.tracks import FIELD
from sertools.features.store import FEATURES
from sertools.manifests import read_cuts
from sertools.models.emotion import Pooling, pool

Normalise = Literal["none", "speaker"]


@dataclass(frozen=True)
class Reading:
    """What is read of a cut.

    Attributes:
        arrays: names of features of the cut (:func:`sertools.features.access.find`) that are put side by side,
            ``ssl:3`` for one layer of several; empty for the cut's own.
        pooling: of all rows of an utterance, done while reading.
        ivector_dim: dimension of the i-vectors to read too; 0 for none.
        memory_gb: room for features in memory, in GB; what has none is read from disk whenever it is needed.
            None: all is in memory.
        normalise: ``speaker`` gives every dimension mean 0 and variance 1 over each speaker's own
            utterances.  It needs no labels, but several utterances of a speaker at once, also of
            one who is tested.
    """

    arrays: tuple[str, ...] = ()
    pooling: Pooling = "frames"
    ivector_dim: int = 0
    normalise: Normalise = "none"
    memory_gb: float | None = None


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
        copy: how it was changed, if it is an augmented copy of an utterance; empty: it is none.
    """

    id: str
    speaker: str
    corpus: str
    features: Tensor
    label: int | float
    ivectors: Tensor | None = None
    ivector_period: int = 10
    copy: str = ""

    @property
    def frames(self) -> int:
        """T."""
        return len(self.features)

    def once(self) -> Tensor:
        """The features, to be looked at once."""
        return self.features


class StoredUtterance(Utterance):
    """An utterance whose features and i-vectors are read when they are asked for, and kept where there is room.

    Args:
        id, speaker, corpus, label, ivector_period, copy: see :class:`Utterance`.
        frames: T.
        read: gives the features.
        read_ivectors: gives the i-vectors; None if there are none.
        kept: shared by all utterances of a corpus.
    """

    def __init__(
        self, *, id: str, speaker: str, corpus: str, label: int | float, frames: int, read: Callable[[], Tensor],
        read_ivectors: Callable[[], Tensor] | None, ivector_period: int, kept: Kept,
        copy: str = "",
    ) -> None:  # fmt: skip
        for name, value in (("id", id), ("speaker", speaker), ("corpus", corpus), ("label", label), ("_frames", frames),
                            ("ivector_period", ivector_period), ("_read", read), ("_read_ivectors", read_ivectors),
                            ("_kept", kept), ("copy", copy)):  # fmt: skip
            object.__setattr__(self, name, value)

    @property
    def features(self) -> Tensor:  # type: ignore[override]
        """(T, F)."""
        return self._kept(self.id, self._read)

    @property
    def ivectors(self) -> Tensor | None:  # type: ignore[override]
        """(rows, D), or None."""
        return None if self._read_ivectors is None else self._kept(f"{self.id} i-vectors", self._read_ivectors)

    @property
    def frames(self) -> int:
        """T, without reading."""
        return self._frames

    def once(self) -> Tensor:
        """The features, which are not kept."""
        return self._read()

    def normalised(self, mean: Tensor, std: Tensor) -> "StoredUtterance":
        """The same, standardised whenever it is read."""
        return StoredUtterance(
            id=self.id, speaker=self.speaker, corpus=self.corpus, label=self.label, frames=self._frames,
            read=lambda: _normalised(self._read(), mean, std), read_ivectors=self._read_ivectors,
            ivector_period=self.ivector_period, kept=self._kept, copy=self.copy,
        )  # fmt: skip

    _frames: int
    _read: Callable[[], Tensor]
    _read_ivectors: Callable[[], Tensor] | None
    _kept: Kept


@dataclass(frozen=True)
class Mixing:
    """What each row of a batch was mixed with, see :mod:`sertools.emotion.mixup`.

    Attributes:
        others: the other utterance of each row.
        shares: float32 (N,), of the batch's own utterances; the others have the rest.
    """

    others: tuple[Utterance, ...]
    shares: Tensor


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
        mixing: what the features are mixed with; None: nothing.
    """

    utterances: tuple[Utterance, ...]
    features: Tensor
    lengths: Tensor
    labels: Tensor
    ivectors: Tensor | None = None
    part: Part | None = None
    mixing: Mixing | None = None


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
    kept = None if reading.memory_gb is None else Kept(reading.memory_gb)
    found = {
        cut.id: _load(cut, labels[cut.id], reading, where, kept) for cut in access.join_cuts(paths) if cut.id in labels
    }
    check_all_found(labels, found, where, paths)
    return normalise_speakers(found) if reading.normalise == "speaker" else found


def check_all_found(
    labels: Mapping[str, Any], found: Mapping[str, object], where: str, cuts: Sequence[Path] = ()
) -> None:
    """Raise UserError if an utterance that has a label was not found in the manifests ``cuts``."""
    missing = [utterance for utterance in labels if utterance not in found]
    if missing:
        called = {s.id: cut.id for path in cuts for cut in read_cuts(path) for s in cut.supervisions if s.id != cut.id}
        if (other := called.get(missing[0])) is not None:
            raise UserError(
                f"{where}: the cut of utterance {missing[0]} is called {other}; a cut must be called as its "
                "supervision is, before features are made (lhotse: "
                "cuts.map(lambda cut: cut.with_id(cut.supervisions[0].id)))"
            )
        raise UserError(
            f"{len(missing)} utterances of the folds are not in {where} (the first: {missing[0]}); "
            "folds and features come from different manifests: run the stages for folds and features again"
        )


def _load(cut: Cut, label: int | float, reading: Reading, where: str, kept: Kept | None) -> Utterance:
    if not cut.has_features and not reading.arrays:
        raise UserError(f"{where}: {cut.id} has no features; run the feature stage again")
    if not cut.supervisions:
        raise UserError(f"{where}: {cut.id} has no supervision, so nobody knows its speaker; keep them in the cuts")
    supervision = cut.supervisions[0]
    custom = supervision.custom or {}
    speaker, corpus, copy = str(supervision.speaker), str(custom.get("corpus", "unknown")), str(custom.get(COPY, ""))
    arrays = [_find(cut, name) for name in reading.arrays or (FEATURES,)]
    if len({place.rows for place, _ in arrays}) > 1:
        told = ", ".join(f"{place.rows} of {place.name}" for place, _ in arrays)
        raise UserError(f"{where}: rows that are put side by side must be as many: {cut.id} has {told}")
    track = _ivectors(cut, reading.ivector_dim, where)
    period = 10 if track is None else round(track.frame_shift / cut.frame_shift)
    if kept is None:
        return Utterance(
            cut.id, speaker, corpus, _rows(arrays, reading.pooling), label,
            track.read() if track is not None else None, period, copy,
        )  # fmt: skip
    return StoredUtterance(
        id=cut.id, speaker=speaker, corpus=corpus, label=label,
        frames=arrays[0][0].rows if reading.pooling == "frames" else 1,
        read=partial(_rows, arrays, reading.pooling), read_ivectors=track.read if track is not None else None,
        ivector_period=period, kept=kept, copy=copy,
    )  # fmt: skip


def _ivectors(cut: Cut, dim: int, where: str) -> access.Place | None:
    if not dim:
        return None
    track = access.find(cut, FIELD)
    if track.shape[1] != dim:
        raise UserError(
            f"{where}: i-vectors have dimension {track.shape[1]}, the network takes {dim}; "
            f"set model.trunk.ivector_dim: {track.shape[1]}, or extract others"
        )
    return track


def _find(cut: Cut, name: str) -> tuple[access.Place, int | None]:
    """Where features of a cut are, and which layer of them is read."""
    name, colon, layer = name.partition(":")
    place = access.find(cut, name)
    if len(place.shape) > 2 and not colon:
        raise UserError(f"{cut.id}: {name} has {place.shape[0]} layers; say which one is read, {name}:0, {name}:1, ...")
    return place, int(layer) if colon else None


def _rows(arrays: Sequence[tuple[access.Place, int | None]], pooling: Pooling) -> Tensor:
    """Features side by side, (T, F), pooled; frames of arrays that lilcom keeps are float16, which is still finer."""
    rows = torch.cat([place.read(layer) for place, layer in arrays], 1)
    if pooling != "frames":
        return pool(rows[None], torch.tensor([len(rows)]), pooling)[0][0]
    coarse = all(place.name != FEATURES and place.kind.startswith("lilcom") for place, _ in arrays)
    return rows.half() if coarse else rows


def normalise_speakers(utterances: dict[str, Utterance]) -> dict[str, Utterance]:
    """Give each speaker's features mean 0 and variance 1 over all of the speaker's rows.

    Augmented copies are another voice, or the same in another room: each kind of them is normalised by itself, and an
    utterance without any.

    Raises:
        UserError: a speaker has a single row, which says nothing of a variance.
    """
    by_speaker: dict[tuple[str, str], list[Utterance]] = {}
    for utterance in utterances.values():
        by_speaker.setdefault((utterance.speaker, utterance.copy), []).append(utterance)
    moments = {}
    for voice, group in by_speaker.items():
        if sum(u.frames for u in group) < 2:
            raise UserError(f"speaker {voice[0]} has one utterance, too little for normalise: speaker")
        moments[voice] = mean_and_deviation(u.once() for u in group)
    return {name: _standardised(u, *moments[u.speaker, u.copy]) for name, u in utterances.items()}


def _standardised(utterance: Utterance, mean: Tensor, std: Tensor) -> Utterance:
    if isinstance(utterance, StoredUtterance):
        return utterance.normalised(mean, std)
    return replace(utterance, features=_normalised(utterance.features, mean, std))


def _normalised(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return ((x.float() - mean) / std.clamp(min=1e-4)).to(x.dtype)


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
    for indices in plan_batches([u.frames for u in utterances], batch_frames, None):
        yield collate([utterances[i] for i in indices])
