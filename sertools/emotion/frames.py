"""Training of networks that classify frames (or pooled utterances), and what they say of utterances."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sertools.data.batching import plan_batches
from sertools.data.weights import balanced_weights
from sertools.emotion.data import Batch, StoredUtterance, Utterance, batches_in_order, collate
from sertools.emotion.mixup import both_labels, check_rows, mix, mixed_values
from sertools.emotion.objective import Loss, Objective
from sertools.emotion.system import Applied
from sertools.errors import UserError
from sertools.models.emotion import Aggregate, aggregate_frames, frame_cross_entropy, mean_of_frames, weights_of
from sertools.models.layers import set_share
from sertools.models.tdnnf import set_dropout
from sertools.partitions.target import Target
from sertools.training.ahead import Ahead
from sertools.training.distributed import SINGLE, Group
from sertools.training.schedule import piecewise_linear


@dataclass(frozen=True)
class FrameSettings:
    """What a :class:`FrameTask` takes of a configuration.

    Attributes:
        batch_frames: a batch has at most so many rows, padding included.
        max_frames: in training, more rows of an utterance are not looked at at once; 0 for all.
        class_weights: ``balanced`` weighs a class by the inverse of what trains of it.
        dropout: Kaldi schedule of the dropout proportion over training.
        aggregate: see :class:`sertools.models.emotion.EmotionModelConfig`.
        loss: None for the target's usual one.
        scattered: rows are drawn from all of an utterance in place of a stretch.
        mixup: of utterances of one row, see :func:`sertools.emotion.mixup.mix`; None or 0 for none.
    """

    batch_frames: int
    max_frames: int
    class_weights: Literal["none", "balanced"]
    dropout: str
    aggregate: Aggregate
    loss: Loss | None
    scattered: bool = False
    mixup: float | None = None


class FrameTask:
    """The training of a network of features, lengths and i-vectors: frame losses, scored by utterance.

    Args:
        settings: see :class:`FrameSettings`.
        target: what is predicted.
        train, dev: utterances.
        model: gives outputs of frames (N, T', C) and their lengths; on its device.
        seed: of batches.
        device: of the model.
        group: the processes that share the training.
    """

    def __init__(
        self, settings: FrameSettings, target: Target, train: Sequence[Utterance], dev: Sequence[Utterance],
        model: nn.Module, *, seed: int, device: str, group: Group = SINGLE,
    ) -> None:  # fmt: skip
        self.settings = settings
        self.objective = Objective.of(target, settings.loss, group.size)
        self.train = train
        self.dev = dev
        self.model = model
        self.seed = seed
        self.device = device
        self.group = group
        if settings.mixup:
            check_rows(train)
        self.class_weights: Tensor | None = None
        if settings.class_weights == "balanced":
            if target.kind == "number":
                raise UserError(f"data.class_weights: balanced: the target {target.name} has no classes")
            amounts = ((int(u.label), training_frames(u, settings.max_frames)) for u in train)
            self.class_weights = balanced_weights(amounts, target.num_outputs).to(device)

    def _generator(self, epoch: int, purpose: int) -> torch.Generator:
        return torch.Generator().manual_seed((self.seed * 100003 + epoch) * 2 + purpose)

    def _plan(self, epoch: int) -> list[list[int]]:
        lengths = [training_frames(u, self.settings.max_frames) for u in self.train]
        return plan_batches(lengths, self.settings.batch_frames, self._generator(epoch, 0))

    def num_batches(self, epoch: int) -> int:
        """Batches of an epoch."""
        return len(self._plan(epoch))

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """The batches of an epoch from one on, this process's part of each; read ahead if they are on disk."""
        made = self._batches(epoch, start)
        return Ahead(made, lambda batch: batch) if isinstance(self.train[0], StoredUtterance) else made

    def _batches(self, epoch: int, start: int) -> Iterator[Batch]:
        for number, indices in enumerate(self._plan(epoch)):
            if number >= start:
                # a generator a batch: where the stretches lie does not depend on where one starts
                generator = self._generator(epoch * 1000003 + number, 1)
                part = self.group.split.part(len(indices))
                utterances = [self.train[i] for i in indices]
                made = collate(utterances, self.settings.max_frames, generator, part, scattered=self.settings.scattered)
                yield self.augmented(made, utterances, generator)

    def augmented(self, batch: Batch, utterances: Sequence[Utterance], generator: torch.Generator) -> Batch:
        """A batch as it is trained on, where the configuration says that it is changed.

        Args:
            batch: this process's part of ``utterances``.
            utterances: for all of which is drawn, so that processes draw alike.
            generator: of this batch.
        """
        return mix(batch, utterances, self.settings.mixup, generator) if self.settings.mixup else batch

    def before_step(self, progress: float) -> None:
        """Dropout by its schedule."""
        set_dropout(self.model, piecewise_linear(self.settings.dropout, progress))

    def loss(self, batch: Batch) -> tuple[Tensor, float]:
        """Mean loss of frames (of utterances, for a number), and their weight."""
        if self.group.size > 1:
            set_share(self.model, self.group.share(batch.part))
        labels, mixing, shares = self._labels(batch.utterances), batch.mixing, None
        with self.in_precision():
            outputs, lengths = forward(self.model, batch, self.device)
        counts = batch.part is None or batch.part.counts
        if self.objective.target.kind == "number":
            if mixing is not None:
                shares = mixing.shares.to(self.device, non_blocking=True)
                labels = mixed_values(labels, self._labels(mixing.others), shares)
            value = self.objective.of_utterances(mean_of_frames(outputs, lengths), labels)
            return value, float(len(labels)) if counts else 0.0
        if mixing is not None:
            shares = mixing.shares.to(self.device, non_blocking=True)
            others = self._labels(mixing.others)
            outputs, lengths, labels, shares = both_labels(outputs, lengths, labels, others, shares)
        loss, frames = frame_cross_entropy(outputs, lengths, labels, self.class_weights, self.objective.of_rows, shares)
        if not counts:
            return loss, 0.0
        if shares is None and self.class_weights is None:
            return loss, float(frames)  # known already: a GPU need not be waited for again
        weights = lengths if shares is None else lengths * shares
        if self.class_weights is not None:
            weights = weights * weights_of(labels, self.class_weights)
        return loss, float(weights.sum())

    def _labels(self, utterances: Sequence[Utterance]) -> Tensor:
        labels = self.objective.labels([utterance.label for utterance in utterances])
        return labels.to(self.device, non_blocking=True)

    def in_precision(self) -> AbstractContextManager[Any]:
        """Where the network's activations are of the type that the configuration says."""
        return nullcontext()

    def after_step(self, step: int) -> None:
        """Nothing."""

    def about(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def evaluate(self) -> dict[str, float]:
        """Loss and scores of the dev part."""
        return self.group.from_first(self._evaluate)

    def _evaluate(self) -> dict[str, float]:
        order, outputs, loss = predict(self.model, self.dev, self.settings, self.objective, self.device)
        return self.objective.dev_scores(loss, [utterance.label for utterance in order], outputs)


def forward(model: nn.Module, batch: Batch, device: str) -> tuple[Tensor, Tensor]:
    """Log-posteriors (or values) of a batch's frames (N, T', C), and their lengths (N,)."""
    ivectors = batch.ivectors.to(device, non_blocking=True) if batch.ivectors is not None else None
    result: tuple[Tensor, Tensor] = model(
        batch.features.to(device, non_blocking=True), batch.lengths.to(device, non_blocking=True), ivectors
    )
    return result


def training_frames(utterance: Utterance, max_frames: int) -> int:
    """Frames of an utterance that an epoch sees: not more than ``max_frames`` (0: all)."""
    return min(utterance.frames, max_frames or utterance.frames)


def applied_frames(model: nn.Module, settings: FrameSettings, objective: Objective, device: str) -> Applied:
    """A trained model as :data:`sertools.emotion.system.Applied`."""
    model.to(device).eval()
    return lambda utterances: predict(model, utterances, settings, objective, device)[:2]


@torch.no_grad()
def predict(
    model: nn.Module, utterances: Sequence[Utterance], settings: FrameSettings, objective: Objective, device: str
) -> tuple[list[Utterance], Tensor, float]:
    """What a model says of whole utterances.

    Returns:
        The utterances in the order of the rows; probabilities (N, C) or values (N,), float64; and the mean
        loss: of frames, or of all values.
    """
    model.eval()
    order: list[Utterance] = []
    rows, loss_sum, frames = [], 0.0, 0
    for batch in batches_in_order(utterances, settings.batch_frames):
        outputs, lengths = forward(model, batch, device)
        order += batch.utterances
        if objective.target.kind == "number":
            rows.append(mean_of_frames(outputs.double(), lengths)[:, 0].cpu())
            continue
        labels = objective.labels([utterance.label for utterance in batch.utterances]).to(device)
        loss, count = frame_cross_entropy(outputs, lengths, labels, None)
        loss_sum += float(loss) * count
        frames += count
        rows.append(aggregate_frames(outputs.double(), lengths, settings.aggregate).cpu())
    found = torch.cat(rows)
    if objective.target.kind == "number":
        labels = torch.tensor([utterance.label for utterance in order], dtype=torch.float64)
        return order, found, float(objective.of_utterances(found[:, None], labels))
    return order, found, loss_sum / frames
