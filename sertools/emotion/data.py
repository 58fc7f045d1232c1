"""Utterances in memory, and the batches that training and prediction take from them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from lhotse import CutSet
from torch import Tensor

from sertools.errors import UserError
from sertools.features.ivector.tracks import load_ivectors
from sertools.training.batching import plan_batches


@dataclass(frozen=True)
class Utterance:
    """One utterance.

    Attributes:
        id: as in folds and predictions.
        speaker, corpus: who speaks, and where it is from.
        features: float32 (T, F).
        label: index of its class.
        ivectors: float32 (rows, D), or None.
        ivector_period: frames that a row stands for.
    """

    id: str
    speaker: str
    corpus: str
    features: Tensor
    label: int
    ivectors: Tensor | None = None
    ivector_period: int = 10


@dataclass(frozen=True)
class Batch:
    """Some utterances, padded to the longest.

    Attributes:
        utterances: in the order of the rows.
        features: float32 (N, T, F).
        lengths, labels: int64 (N,).
        ivectors: float32 (N, D), one of each utterance, or None.
    """

    utterances: tuple[Utterance, ...]
    features: Tensor
    lengths: Tensor
    labels: Tensor
    ivectors: Tensor | None = None


def load_utterances(cuts_path: Path | str, labels: dict[str, int], ivector_dim: int = 0) -> dict[str, Utterance]:
    """Read the features of labelled utterances.

    Args:
        cuts_path: cuts with features, from the feature stage.
        labels: utterance id to index of class.
        ivector_dim: dimension of the i-vectors to read too; 0 for none.

    Raises:
        UserError: an utterance is not in the cuts, or has no features, or no such i-vectors.
    """
    found: dict[str, Utterance] = {}
    for cut in CutSet.from_file(cuts_path):
        if cut.id not in labels:
            continue
        if not cut.has_features:
            raise UserError(f"{cuts_path}: {cut.id} has no features; run the feature stage again")
        supervision = cut.supervisions[0]
        track = load_ivectors(cut) if ivector_dim else None
        if track is not None and track.values.shape[1] != ivector_dim:
            raise UserError(
                f"{cuts_path}: i-vectors have dimension {track.values.shape[1]}, the network takes {ivector_dim}; "
                f"set model.trunk.ivector_dim: {track.values.shape[1]}, or extract others"
            )
        found[cut.id] = Utterance(
            id=cut.id,
            speaker=str(supervision.speaker),
            corpus=str((supervision.custom or {}).get("corpus", "unknown")),
            features=torch.from_numpy(cut.load_features()).float(),
            label=labels[cut.id],
            ivectors=track.values if track is not None else None,
            ivector_period=track.period if track is not None else 10,
        )
    missing = [utterance for utterance in labels if utterance not in found]
    if missing:
        raise UserError(
            f"{len(missing)} utterances of the folds are not in {cuts_path} (the first: {missing[0]}); "
            "folds and features come from different manifests: run the stages for folds and features again"
        )
    return found


def collate(utterances: Sequence[Utterance], max_frames: int = 0, generator: torch.Generator | None = None) -> Batch:
    """Make a batch.

    Args:
        utterances: at least one.
        max_frames: longer utterances are cut to a random stretch of this length; 0 for never.
        generator: places the stretch, and picks an i-vector at random within it, as Kaldi does in
            training.  Without it, the last i-vector is taken, which has heard the whole utterance.
    """
    features, ivectors = [], []
    for utterance in utterances:
        x = utterance.features
        start = 0
        if 0 < max_frames < len(x):
            start = int(torch.randint(len(x) - max_frames + 1, (1,), generator=generator))
            x = x[start : start + max_frames]
        features.append(x)
        if utterance.ivectors is not None:
            frame = start + len(x) - 1
            if generator is not None:
                frame = start + int(torch.randint(len(x), (1,), generator=generator))
            ivectors.append(utterance.ivectors[min(frame // utterance.ivector_period, len(utterance.ivectors) - 1)])
    return Batch(
        utterances=tuple(utterances),
        features=torch.nn.utils.rnn.pad_sequence(features, batch_first=True),
        lengths=torch.tensor([len(x) for x in features]),
        labels=torch.tensor([utterance.label for utterance in utterances]),
        ivectors=torch.stack(ivectors) if ivectors else None,
    )


def batches_in_order(utterances: Sequence[Utterance], batch_frames: int) -> Iterator[Batch]:
    """Whole utterances, batched by length, for evaluation and prediction."""
    for indices in plan_batches([len(u.features) for u in utterances], batch_frames, None):
        yield collate([utterances[i] for i in indices])
