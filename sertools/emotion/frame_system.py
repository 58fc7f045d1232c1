"""The frame-level system of S1: every frame learns its utterance's emotion, utterances are summed up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from sertools.emotion.data import Batch, Utterance, batches_in_order, collate
from sertools.evaluation.metrics import confusion, unweighted_accuracy, weighted_accuracy
from sertools.models.emotion import (
    FrameClassifier,
    FrameClassifierConfig,
    aggregate_frames,
    frame_cross_entropy,
)
from sertools.models.tdnnf import semi_orthogonal_step, set_dropout
from sertools.training.batching import plan_batches
from sertools.training.loop import TrainingConfig
from sertools.training.schedule import piecewise_linear


@dataclass(frozen=True)
class DataConfig:
    """How utterances become batches.

    Attributes:
        batch_frames: a batch has at most so many frames, padding included.
        max_frames: in training, longer utterances are cut to a random stretch; 0 for never.
        class_weights: ``balanced`` weighs a class by the inverse of its number of frames.
    """

    batch_frames: int = 10000
    max_frames: int = 1000
    class_weights: Literal["none", "balanced"] = "none"


@dataclass(frozen=True)
class FrameSystemConfig:
    """``conf/tdnn.yaml``: a whole system.

    Attributes:
        model: the network.
        data: batches.
        training: the loop.
        dropout: Kaldi schedule of the dropout proportion over training.
        orthonormal_every: the semi-orthogonal constraint is applied every so many updates
            (Kaldi: each with probability 1/4); 0 for never.
    """

    model: FrameClassifierConfig = field(default_factory=FrameClassifierConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    dropout: str | float = "0,0@0.20,0.5@0.50,0"
    orthonormal_every: int = 4

    def __post_init__(self) -> None:
        piecewise_linear(str(self.dropout), 0.0)  # a bad schedule shows now and not after hours


class FrameTask:
    """A :class:`sertools.training.loop.Task`: frame cross-entropy, scored by utterance on dev."""

    def __init__(
        self,
        config: FrameSystemConfig,
        num_classes: int,
        train: Sequence[Utterance],
        dev: Sequence[Utterance],
        *,
        seed: int,
        device: str,
    ) -> None:
        torch.manual_seed(seed)
        self.config = config
        self.seed = seed
        self.device = device
        self.train = train
        self.dev = dev
        self.num_classes = num_classes
        self.model = FrameClassifier(config.model, num_classes)
        self.model.trunk.set_input_statistics(*feature_statistics(train))
        self.model.to(device)
        self.class_weights = (
            balanced_weights(train, num_classes).to(device) if config.data.class_weights == "balanced" else None
        )

    def _generator(self, epoch: int, purpose: int) -> torch.Generator:
        return torch.Generator().manual_seed((self.seed * 100003 + epoch) * 2 + purpose)

    def _plan(self, epoch: int) -> list[list[int]]:
        limit = self.config.data.max_frames or max(len(u.features) for u in self.train)
        lengths = [min(len(u.features), limit) for u in self.train]
        return plan_batches(lengths, self.config.data.batch_frames, self._generator(epoch, 0))

    def num_batches(self, epoch: int) -> int:
        """See :class:`sertools.training.loop.Task`."""
        return len(self._plan(epoch))

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """See :class:`sertools.training.loop.Task`."""
        for number, indices in enumerate(self._plan(epoch)):
            if number >= start:
                # a generator a batch: where the stretches lie does not depend on where one starts
                generator = self._generator(epoch * 1000003 + number, 1)
                yield collate([self.train[i] for i in indices], self.config.data.max_frames, generator)

    def before_step(self, progress: float) -> None:
        """See :class:`sertools.training.loop.Task`."""
        set_dropout(self.model, piecewise_linear(str(self.config.dropout), progress))

    def loss(self, batch: Batch) -> tuple[Tensor, float]:
        """See :class:`sertools.training.loop.Task`."""
        log_posteriors, lengths = forward(self.model, batch, self.device)
        return frame_cross_entropy(log_posteriors, lengths, batch.labels.to(self.device), self.class_weights)

    def after_step(self, step: int) -> None:
        """See :class:`sertools.training.loop.Task`."""
        if self.config.orthonormal_every and step % self.config.orthonormal_every == 0:
            semi_orthogonal_step(self.model)

    def evaluate(self) -> dict[str, float]:
        """Frame cross-entropy, UA and WA of the dev part."""
        return evaluate(self.model, self.dev, self.num_classes, self.config.data.batch_frames, self.device)


def forward(model: FrameClassifier, batch: Batch, device: str) -> tuple[Tensor, Tensor]:
    """Log-posteriors (N, T', classes) of a batch's frames, and their lengths (N,)."""
    ivectors = batch.ivectors.to(device) if batch.ivectors is not None else None
    result: tuple[Tensor, Tensor] = model(batch.features.to(device), batch.lengths.to(device), ivectors)
    return result


def feature_statistics(utterances: Sequence[Utterance]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over all frames of every feature, then over all rows of every
    coordinate of the i-vectors, if there are any: each (F + D,)."""
    parts = [_moments([u.features for u in utterances])]
    ivectors = [u.ivectors for u in utterances if u.ivectors is not None]
    if ivectors:
        parts.append(_moments(ivectors))
    return torch.cat([mean for mean, _ in parts]), torch.cat([std for _, std in parts])


def _moments(values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the rows of matrices (T, F), each (F,)."""
    rows = sum(len(x) for x in values)
    mean = sum((x.double().sum(0) for x in values), torch.zeros(1)) / rows
    square = sum(((x.double() - mean).square().sum(0) for x in values), torch.zeros(1)) / rows
    return mean.float(), square.sqrt().float()


def balanced_weights(utterances: Sequence[Utterance], num_classes: int) -> Tensor:
    """Frames in all / (classes x frames of the class), (classes,): every class weighs the same."""
    frames = torch.zeros(num_classes)
    for utterance in utterances:
        frames[utterance.label] += len(utterance.features)
    return frames.sum() / (num_classes * frames.clamp(min=1.0))


@torch.no_grad()
def predict(
    model: FrameClassifier, utterances: Sequence[Utterance], batch_frames: int, device: str
) -> tuple[list[Utterance], Tensor, dict[str, Any]]:
    """Class probabilities of whole utterances.

    Returns:
        The utterances in the order of the rows, probabilities (N, classes), and sums of the frame
        cross-entropy: keys ``loss_sum`` and ``frames``.
    """
    model.eval()
    order: list[Utterance] = []
    rows, loss_sum, frames = [], 0.0, 0
    for batch in batches_in_order(utterances, batch_frames):
        log_posteriors, lengths = forward(model, batch, device)
        loss, count = frame_cross_entropy(log_posteriors, lengths, batch.labels.to(device), None)
        loss_sum += float(loss) * count
        frames += count
        order += batch.utterances
        rows.append(aggregate_frames(log_posteriors.double(), lengths, model.config.aggregate).cpu())
    return order, torch.cat(rows), {"loss_sum": loss_sum, "frames": frames}


def evaluate(
    model: FrameClassifier, utterances: Sequence[Utterance], num_classes: int, batch_frames: int, device: str
) -> dict[str, float]:
    """Frame cross-entropy, UA and WA; keys ``dev_loss``, ``dev_ua``, ``dev_wa``."""
    order, probabilities, sums = predict(model, utterances, batch_frames, device)
    labels = [utterance.label for utterance in order]
    counts = confusion(labels, probabilities.argmax(1).tolist(), num_classes)
    return {
        "dev_loss": sums["loss_sum"] / sums["frames"],
        "dev_ua": float(unweighted_accuracy(counts)),
        "dev_wa": float(weighted_accuracy(counts)),
    }
