"""Heads on stored features: training and prediction."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sertools.data.statistics import mean_and_deviation
from sertools.emotion.data import Utterance, load_utterances
from sertools.emotion.features_head.config import HeadConfig
from sertools.emotion.frames import FrameTask, applied_frames
from sertools.emotion.objective import Objective
from sertools.emotion.system import Applied, Label, Predicted, predict_parts
from sertools.emotion.transductive import BY_SPEAKER, of_ivectors, took_ivectors
from sertools.models.emotion import EmotionHead
from sertools.partitions.target import Target
from sertools.training.checkpoint import load_checkpoint, load_weights
from sertools.training.distributed import Group
from sertools.training.loop import TrainingConfig
from sertools.training.run import CHECKPOINT


class HeadSystem:
    """A head on stored features, trained by the loop (:mod:`sertools.emotion.system`).

    Args:
        head: its settings.
        config: what the run records as its configuration, if it is part of a larger one.
    """

    def __init__(self, head: HeadConfig, config: Any = None) -> None:
        self.head = head
        self.config = head if config is None else config
        self.reading = head.reading

    @property
    def training(self) -> TrainingConfig:
        """Settings of the loop."""
        return self.head.training

    def remarks(self, features: Any) -> list[str]:
        """Whether speakers are normalised, or were remembered by i-vectors of a network that made the features."""
        said = [BY_SPEAKER] if self.head.data.normalise == "speaker" else []
        return said + (of_ivectors(features) if took_ivectors(features) else [])

    def read(self, cuts: Sequence[Path], labels: Mapping[str, Label]) -> dict[str, Utterance]:
        """Utterances with their arrays side by side, pooled as configured."""
        return load_utterances(cuts, labels, self.reading)

    def task(
        self, target: Target, train: Sequence[Utterance], dev: Sequence[Utterance], *, seed: int, device: str,
        group: Group,
    ) -> FrameTask:  # fmt: skip
        """Cross-entropy of rows that carry their utterance's label, or the loss of a number."""
        torch.manual_seed(seed)
        model = make_head(self.head, train[0].features.shape[1], target).to(device)
        model.standardise(*mean_and_deviation(u.features for u in train))
        if target.kind == "number":
            labels = torch.tensor([[float(u.label)] for u in train])
            mean, std = mean_and_deviation([labels])
            model.scale_outputs(float(mean), float(std))
        return FrameTask(self.head.frame_settings, target, train, dev, model, seed=seed, device=device, group=group)

    def predict(self, run: Path, target: Target, parts: Mapping[str, Sequence[Utterance]], device: str) -> Predicted:
        """Outputs of whole utterances."""
        return predict_parts(self.trained(run, target, device), parts)

    def trained(self, run: Path, target: Target, device: str) -> Applied:
        """See :class:`sertools.emotion.system.Applicable`."""
        weights = load_checkpoint(run / CHECKPOINT).weights
        model = make_head(self.head, len(weights["input_mean"]), target)
        load_weights(model, weights, str(run / CHECKPOINT))
        return applied_frames(model, self.head.frame_settings, Objective.of_outputs(target), device)


def make_head(config: HeadConfig, width: int, target: Target) -> EmotionHead:
    """The network, with random weights, for rows of a width."""
    return EmotionHead(width, config.head_dim, target.num_outputs, number=target.kind == "number")
