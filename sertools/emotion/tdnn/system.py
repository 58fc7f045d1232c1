"""The systems of S1: a network that is trained whole, or its head on bottlenecks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sertools.emotion.data import Utterance, load_utterances
from sertools.emotion.features_head.system import HeadSystem
from sertools.emotion.frames import applied_frames
from sertools.emotion.objective import Objective
from sertools.emotion.system import Applied, Label, Predicted, predict_parts
from sertools.emotion.tdnn.config import EmotionConfig, resolve
from sertools.emotion.tdnn.pretrained import Pretrained
from sertools.emotion.tdnn.task import TdnnTask, frame_settings
from sertools.emotion.transductive import BY_SPEAKER, of_ivectors
from sertools.features.origin import kinds_of
from sertools.models.emotion import EmotionNetwork
from sertools.partitions.target import Target
from sertools.provenance import made_with
from sertools.training.checkpoint import load_checkpoint, load_weights
from sertools.training.distributed import Group
from sertools.training.loop import TrainingConfig
from sertools.training.run import CHECKPOINT


def make_system(config: EmotionConfig, pretrained: Pretrained | None = None) -> "TdnnSystem | HeadSystem":
    """The system of a configuration: the whole network, or the head alone on stored bottlenecks.

    Args:
        config: see :func:`resolve`, which completes it.
        pretrained: the network that is transferred, if any.
    """
    complete = resolve(config, pretrained)
    return HeadSystem(complete.head, complete) if complete.head_alone else TdnnSystem(complete, pretrained)


class TdnnSystem:
    """A whole network, trained by the loop (:mod:`sertools.emotion.system`).

    Args:
        config: complete.
        pretrained: the network that is transferred, if any.
    """

    def __init__(self, config: EmotionConfig, pretrained: Pretrained | None = None) -> None:
        self.config = config
        self.reading = config.reading
        self._pretrained = pretrained

    @property
    def training(self) -> TrainingConfig:
        """Settings of the loop."""
        return self.config.training

    def remarks(self, features: Any) -> list[str]:
        """Whether speakers are normalised, or remembered by i-vectors."""
        said = [BY_SPEAKER] if self.config.data.normalise == "speaker" else []
        if self.config.trunk.ivector_dim:
            said += of_ivectors(features)
        return said

    def read(self, cuts: Sequence[Path], labels: Mapping[str, Label]) -> dict[str, Utterance]:
        """Utterances with features, and i-vectors if the network takes them."""
        if (hidden := self.config.data.spec_augment) is not None:
            hidden.check(kinds_of(made_with(cuts[0])), str(cuts[0]))
        return load_utterances(cuts, labels, self.reading)

    def task(
        self, target: Target, train: Sequence[Utterance], dev: Sequence[Utterance], *, seed: int, device: str,
        group: Group,
    ) -> TdnnTask:  # fmt: skip
        """Cross-entropy of frames (or pooled utterances), or the loss of a number."""
        weights = self._pretrained.weights if self._pretrained is not None else None
        return TdnnTask(self.config, target, train, dev, seed=seed, device=device, pretrained=weights, group=group)

    def predict(self, run: Path, target: Target, parts: Mapping[str, Sequence[Utterance]], device: str) -> Predicted:
        """Outputs of whole utterances."""
        return predict_parts(self.trained(run, target, device), parts)

    def trained(self, run: Path, target: Target, device: str) -> Applied:
        """See :class:`sertools.emotion.system.Applicable`."""
        model = EmotionNetwork(self.config.model, target.num_outputs, number=target.kind == "number")
        load_weights(model, load_checkpoint(run / CHECKPOINT).weights, str(run / CHECKPOINT))
        return applied_frames(model, frame_settings(self.config), Objective.of_outputs(target), device)
