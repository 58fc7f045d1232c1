"""Training of a TDNN-F and a head."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from sertools.data.masking import Hidden, SpecMasks
from sertools.data.statistics import mean_and_deviation
from sertools.emotion.data import Batch, Utterance, batches_in_order
from sertools.emotion.frames import FrameSettings, FrameTask, training_frames
from sertools.emotion.tdnn.config import EmotionConfig
from sertools.errors import UserError
from sertools.models.emotion import EmotionNetwork
from sertools.models.tdnnf import semi_orthogonal_step
from sertools.partitions.target import Target
from sertools.training.checkpoint import load_weights
from sertools.training.distributed import SINGLE, Group
from sertools.training.precision import check_precision


def frame_settings(config: EmotionConfig) -> FrameSettings:
    """What the training of frames takes of a configuration."""
    data = config.data
    return FrameSettings(
        data.batch_frames, data.max_frames, data.class_weights, str(config.dropout), config.model.aggregate, config.loss
    )


class TdnnTask(FrameTask):
    """The training of a whole network, whose trunk may be transferred.

    Args:
        config: its trunk is known.
        target: what is predicted.
        train, dev: utterances as read by ``config.reading``.
        seed: of initialisation and batches.
        device: where to compute.
        pretrained: weights of the trunk to start from; needed if ``config.transfer`` says so.
        group: the processes that share the training.
    """

    model: EmotionNetwork

    def __init__(
        self,
        config: EmotionConfig,
        target: Target,
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
        self.dtype = check_precision(config.precision, device)
        model = EmotionNetwork(config.model, target.num_outputs, number=target.kind == "number").to(device)
        super().__init__(frame_settings(config), target, train, dev, model, seed=seed, device=device, group=group)
        if target.kind == "number":
            model.head.scale_outputs(*moments_of_labels(train))
        self.masks: SpecMasks | None = None
        if config.data.spec_augment is not None:
            self.masks = SpecMasks(config.data.spec_augment, mean_and_deviation(u.features for u in train)[0])
        self._prepare(model, pretrained)

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

    def augmented(self, batch: Batch, utterances: Sequence[Utterance], generator: torch.Generator) -> Batch:
        """With stretches and bands hidden, if the configuration says so."""
        if self.masks is None:
            return batch
        lengths = torch.tensor([training_frames(u, self.settings.max_frames) for u in utterances])
        hidden = self.masks.draw(lengths, generator)
        if batch.part is not None:
            hidden = Hidden(hidden.time[batch.part.rows], hidden.bands[batch.part.rows])
        return replace(batch, features=self.masks.hide(batch.features, batch.lengths, hidden))

    def before_step(self, progress: float) -> None:
        """Dropout by its schedule, and what learns."""
        super().before_step(progress)
        if self.config.transfer.train == "head_then_all":
            self.model.freeze_trunk(progress < self.config.transfer.head_part)

    @contextmanager
    def in_precision(self) -> Iterator[None]:
        """Let the trunk's activations be what the configuration says."""
        self.model.trunk.activation_dtype = self.dtype
        try:
            yield
        finally:
            self.model.trunk.activation_dtype = torch.float32

    def after_step(self, step: int) -> None:
        """The semi-orthogonal constraint."""
        every = self.config.orthonormal_every
        if every and step % every == 0 and self.model.trunk_trains:
            semi_orthogonal_step(self.model)


def feature_statistics(utterances: Sequence[Utterance]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over all frames of every feature, then over all rows of every
    coordinate of the i-vectors, if there are any: each (F + D,)."""
    parts = [mean_and_deviation(u.features for u in utterances)]
    if utterances[0].ivectors is not None:
        parts.append(mean_and_deviation(u.ivectors for u in utterances if u.ivectors is not None))
    return torch.cat([mean for mean, _ in parts]), torch.cat([std for _, std in parts])


def moments_of_labels(utterances: Sequence[Utterance]) -> tuple[float, float]:
    """Mean and standard deviation of a number target."""
    mean, std = mean_and_deviation([torch.tensor([[float(u.label)] for u in utterances])])
    return float(mean), float(std)


@torch.no_grad()
def embedding_statistics(
    model: EmotionNetwork, utterances: Sequence[Utterance], batch_frames: int, device: str
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of what the head reads, over all frames (or utterances): each (C,)."""
    model.eval()

    def rows() -> Iterator[Tensor]:
        for batch in batches_in_order(utterances, batch_frames):
            ivectors = batch.ivectors.to(device) if batch.ivectors is not None else None
            x, lengths = model.embed(batch.features.to(device), batch.lengths, ivectors)
            yield from (row[: int(length)].cpu() for row, length in zip(x, lengths, strict=True))

    return mean_and_deviation(rows())
