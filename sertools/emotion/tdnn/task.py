"""Training of a TDNN-F and a head, or of the head alone, and what they say of utterances."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sertools.emotion.data import Batch, Utterance, batches_in_order, collate, mean_and_deviation
from sertools.emotion.tdnn.config import EmotionConfig
from sertools.errors import UserError
from sertools.evaluation.stats.metrics import confusion, unweighted_accuracy, weighted_accuracy
from sertools.models.emotion import (
    Aggregate,
    EmotionHead,
    EmotionNetwork,
    aggregate_frames,
    frame_cross_entropy,
    make_head,
)
from sertools.models.layers import set_share
from sertools.models.tdnnf import semi_orthogonal_step, set_dropout
from sertools.training.batching import plan_batches
from sertools.training.checkpoint import load_weights
from sertools.training.distributed import SINGLE, Group
from sertools.training.precision import check_precision
from sertools.training.schedule import piecewise_linear


def make_model(config: EmotionConfig, num_classes: int) -> nn.Module:
    """What is trained: the head on bottlenecks, or the whole network; with random weights."""
    if config.head_alone:
        return make_head(config.model, config.trunk, num_classes)
    return EmotionNetwork(config.model, num_classes)


class EmotionTask:
    """A :class:`sertools.training.loop.Task`: cross-entropy of frames (or pooled utterances), scored by utterance.

    Args:
        config: its trunk is known.
        num_classes: of the softmax.
        train, dev: utterances as read by ``config.reading``.
        seed: of initialisation and batches.
        device: where to compute.
        pretrained: weights of the trunk to start from; needed if ``config.transfer`` says so and the
            trunk is trained.
        group: the processes that share the training.
    """

    def __init__(
        self,
        config: EmotionConfig,
        num_classes: int,
        train: Sequence[Utterance],
        dev: Sequence[Utterance],
        *,
        seed: int,
        device: str,
        pretrained: dict[str, Tensor] | None = None,
        group: Group = SINGLE,
    ) -> None:
        torch.manual_seed(seed)
        self.config = config
        self.seed = seed
        self.device = device
        self.dtype = check_precision(config.precision, device)
        self.group = group
        self.train = train
        self.dev = dev
        self.num_classes = num_classes
        self.model = make_model(config, num_classes).to(device)
        if isinstance(self.model, EmotionNetwork):
            self._prepare(self.model, pretrained)
        elif isinstance(self.model, EmotionHead):
            self.model.standardise(*mean_and_deviation(u.features for u in train))
        self.class_weights = (
            balanced_weights(train, num_classes).to(device) if config.data.class_weights == "balanced" else None
        )

    def _prepare(self, model: EmotionNetwork, pretrained: dict[str, Tensor] | None) -> None:
        """Weights and input statistics of the whole network."""
        if self.config.transfer.start == "random":
            model.trunk.set_input_statistics(*feature_statistics(self.train))
            return
        assert pretrained is not None
        load_weights(model.trunk, pretrained, "the pretrained network")
        if self.config.data.normalise == "speaker":
            try:
                model.trunk.expect_standardised()
            except ValueError as error:
                raise UserError(f"data.normalise: speaker: {error}") from error
        model.trunk.learning_rate_factor = self.config.transfer.trunk_learning_rate_factor
        model.head.standardise(*embedding_statistics(model, self.train, self.config.data.batch_frames, self.device))

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
                part = self.group.split.part(len(indices))
                utterances = [self.train[i] for i in indices]
                scattered = self.config.head_alone
                yield collate(utterances, self.config.data.max_frames, generator, part, scattered=scattered)

    def before_step(self, progress: float) -> None:
        """See :class:`sertools.training.loop.Task`."""
        set_dropout(self.model, piecewise_linear(str(self.config.dropout), progress))
        if self.config.transfer.train == "head_then_all" and isinstance(self.model, EmotionNetwork):
            self.model.freeze_trunk(progress < self.config.transfer.head_part)

    def loss(self, batch: Batch) -> tuple[Tensor, float]:
        """See :class:`sertools.training.loop.Task`."""
        if self.group.size > 1:
            set_share(self.model, self.group.share(batch.part))
        labels = batch.labels.to(self.device)
        with self._in_precision():
            log_posteriors, lengths = forward(self.model, batch, self.device)
        loss, frames = frame_cross_entropy(log_posteriors, lengths, labels, self.class_weights)
        if batch.part is not None and not batch.part.counts:
            return loss, 0.0
        if self.class_weights is None:
            return loss, float(frames)
        return loss, float((lengths * self.class_weights[labels]).sum())

    @contextmanager
    def _in_precision(self) -> Iterator[None]:
        """Let the trunk's activations be what the configuration says."""
        if not isinstance(self.model, EmotionNetwork):
            yield
            return
        self.model.trunk.activation_dtype = self.dtype
        try:
            yield
        finally:
            self.model.trunk.activation_dtype = torch.float32

    def after_step(self, step: int) -> None:
        """See :class:`sertools.training.loop.Task`."""
        frozen = isinstance(self.model, EmotionNetwork) and not self.model.trunk_trains
        if self.config.orthonormal_every and step % self.config.orthonormal_every == 0 and not frozen:
            semi_orthogonal_step(self.model)

    def about(self) -> dict[str, Any]:
        """See :class:`sertools.emotion.experiment.EmotionTask`."""
        return {}

    def evaluate(self) -> dict[str, float]:
        """Frame cross-entropy, UA and WA of the dev part."""
        return self.group.from_first(lambda: evaluate(self.model, self.dev, self.num_classes, self.config, self.device))


def forward(model: nn.Module, batch: Batch, device: str) -> tuple[Tensor, Tensor]:
    """Log-posteriors (N, T', classes) of a batch's frames, and their lengths (N,)."""
    ivectors = batch.ivectors.to(device) if batch.ivectors is not None else None
    result: tuple[Tensor, Tensor] = model(batch.features.to(device), batch.lengths.to(device), ivectors)
    return result


def feature_statistics(utterances: Sequence[Utterance]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over all frames of every feature, then over all rows of every
    coordinate of the i-vectors, if there are any: each (F + D,)."""
    parts = [mean_and_deviation(u.features for u in utterances)]
    ivectors = [u.ivectors for u in utterances if u.ivectors is not None]
    if ivectors:
        parts.append(mean_and_deviation(ivectors))
    return torch.cat([mean for mean, _ in parts]), torch.cat([std for _, std in parts])


@torch.no_grad()
def embedding_statistics(
    model: EmotionNetwork, utterances: Sequence[Utterance], batch_frames: int, device: str
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of what the head reads, over all frames (or utterances): each (C,)."""
    model.eval()
    rows = []
    for batch in batches_in_order(utterances, batch_frames):
        ivectors = batch.ivectors.to(device) if batch.ivectors is not None else None
        x, lengths = model.embed(batch.features.to(device), batch.lengths, ivectors)
        rows += [row[: int(length)].cpu() for row, length in zip(x, lengths, strict=True)]
    return mean_and_deviation(rows)


def balanced_weights(utterances: Sequence[Utterance], num_classes: int) -> Tensor:
    """Frames in all / (classes x frames of the class), (classes,): every class weighs the same."""
    frames = torch.zeros(num_classes)
    for utterance in utterances:
        frames[utterance.label] += len(utterance.features)
    return frames.sum() / (num_classes * frames.clamp(min=1.0))


@torch.no_grad()
def predict(
    model: nn.Module, utterances: Sequence[Utterance], batch_frames: int, aggregate: Aggregate, device: str
) -> tuple[list[Utterance], Tensor, dict[str, Any]]:
    """Class probabilities of whole utterances.

    Args:
        model: from :func:`make_model`.
        utterances: as the model reads them.
        batch_frames: see :class:`DataConfig`.
        aggregate: see :class:`sertools.models.emotion.EmotionModelConfig`.
        device: of the model.

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
        rows.append(aggregate_frames(log_posteriors.double(), lengths, aggregate).cpu())
    return order, torch.cat(rows), {"loss_sum": loss_sum, "frames": frames}


def evaluate(
    model: nn.Module, utterances: Sequence[Utterance], num_classes: int, config: EmotionConfig, device: str
) -> dict[str, float]:
    """Frame cross-entropy, UA and WA; keys ``dev_loss``, ``dev_ua``, ``dev_wa``."""
    order, probabilities, sums = predict(model, utterances, config.data.batch_frames, config.model.aggregate, device)
    labels = [utterance.label for utterance in order]
    counts = confusion(labels, probabilities.argmax(1).tolist(), num_classes)
    return {
        "dev_loss": sums["loss_sum"] / sums["frames"],
        "dev_ua": float(unweighted_accuracy(counts)),
        "dev_wa": float(weighted_accuracy(counts)),
    }
