"""The systems of S1 as :class:`sertools.emotion.experiment.EmotionSystem`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sertools.emotion.data import Utterance, load_utterances
from sertools.emotion.experiment import Predicted
from sertools.emotion.pretrained import EXTRACTOR, PRETRAINED, Pretrained, keep_copy
from sertools.emotion.tdnn.config import EmotionConfig, resolve
from sertools.emotion.tdnn.task import EmotionTask, make_model, predict
from sertools.features.origin import check_origin
from sertools.training.checkpoint import load_checkpoint, load_weights
from sertools.training.distributed import Group
from sertools.training.loop import TrainingConfig
from sertools.training.run import CHECKPOINT


class TdnnSystem:
    """A :class:`sertools.emotion.experiment.EmotionSystem`.

    Args:
        config: see :func:`resolve`, which completes it.
        pretrained: the network that is transferred, if any.
    """

    def __init__(self, config: EmotionConfig, pretrained: Pretrained | None = None) -> None:
        self.config = resolve(config, pretrained)
        self.pretrained = pretrained

    @property
    def training(self) -> TrainingConfig:
        """See :class:`sertools.emotion.experiment.EmotionSystem`."""
        return self.config.training

    def inputs(self) -> dict[str, str]:
        """See :class:`sertools.emotion.experiment.EmotionSystem`."""
        transferred = self._transferred
        return {} if transferred is None else {"pretrained": transferred.sha256}

    def check(self, features: Any, where: str) -> None:
        """See :class:`sertools.emotion.experiment.EmotionSystem`."""
        transferred = self._transferred
        if transferred is not None:
            check_origin(transferred.features, features, where, str(transferred.directory))

    def read(self, cuts_path: Path, labels: dict[str, int]) -> dict[str, Utterance]:
        """See :class:`sertools.emotion.experiment.EmotionSystem`."""
        return load_utterances(cuts_path, labels, self.config.reading)

    def keep(self, run: Path, extractor: Path | None) -> dict[str, Any]:
        """See :class:`sertools.emotion.experiment.EmotionSystem`."""
        kept = {}
        if self.config.head_alone and self.pretrained is not None:
            keep_copy(self.pretrained.directory, run.parents[1] / PRETRAINED)
            kept["pretrained"] = f"../../{PRETRAINED}"
        if extractor is not None and self.config.trunk.ivector_dim:
            keep_copy(extractor, run.parent / EXTRACTOR)
            kept["extractor"] = f"../{EXTRACTOR}"
        return kept

    def task(
        self, num_classes: int, train: Sequence[Utterance], dev: Sequence[Utterance], *, seed: int, device: str,
        group: Group,
    ) -> EmotionTask:  # fmt: skip
        """See :class:`sertools.emotion.experiment.EmotionSystem`."""
        weights = self.pretrained.weights if self.pretrained is not None else None
        return EmotionTask(
            self.config, num_classes, train, dev, seed=seed, device=device, pretrained=weights, group=group
        )

    def predict(self, run: Path, parts: Mapping[str, Sequence[Utterance]], device: str) -> Predicted:
        """See :class:`sertools.emotion.experiment.EmotionSystem`."""
        checkpoint = load_checkpoint(run / CHECKPOINT)
        model = make_model(self.config, len(checkpoint.info["classes"]))
        load_weights(model, checkpoint.weights, str(run / CHECKPOINT))
        model.to(device)
        rows: list[Utterance] = []
        names: list[str] = []
        probabilities = []
        for part, utterances in parts.items():
            order, values, _ = predict(
                model, utterances, self.config.data.batch_frames, self.config.model.aggregate, device
            )
            rows += order
            names += [part] * len(order)
            probabilities.append(values)
        return Predicted(rows, names, torch.cat(probabilities))

    @property
    def _transferred(self) -> Pretrained | None:
        return self.pretrained if self.config.transfer.start == "pretrained" else None
