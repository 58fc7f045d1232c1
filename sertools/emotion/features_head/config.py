"""Settings of a head on stored features."""

from dataclasses import dataclass, field
from typing import Literal

from sertools.emotion.data import Normalise, Reading
from sertools.emotion.frames import FrameSettings
from sertools.emotion.mixup import check_mixup
from sertools.emotion.objective import Loss
from sertools.features.store import FEATURES
from sertools.models.emotion import Aggregate, Pooling
from sertools.training.loop import TrainingConfig
from sertools.training.schedule import check_schedule


@dataclass(frozen=True)
class HeadDataConfig:
    """How utterances become batches.

    Attributes:
        batch_frames: a batch has at most so many rows, padding included; with features that are pooled
            while they are read, or have one row an utterance, so many utterances.
        max_frames: in training, so many rows of a longer utterance are drawn every epoch; 0 for all.
        class_weights: ``balanced`` weighs a class by the inverse of the number of its rows that train.
        normalise: see :class:`sertools.emotion.data.Reading`.
        memory_gb: room for features in memory, in GB: what has none is read from disk in every epoch.  None:
            all is in memory.
        mixup: in training, utterances of one row each are mixed in pairs by shares of Beta(mixup, mixup), and their
            labels likewise, see :func:`sertools.emotion.mixup.mix`; None or 0 for none.
    """

    batch_frames: int = 500
    max_frames: int = 0
    class_weights: Literal["none", "balanced"] = "none"
    normalise: Normalise = "none"
    memory_gb: float | None = None
    mixup: float | None = None

    def __post_init__(self) -> None:
        check_mixup(self.mixup)


@dataclass(frozen=True)
class HeadConfig:
    """A whole system: standardisation by the training part, a dense layer (if any), an output layer.

    Attributes:
        system: tells it from other kinds.
        features: names of features on the cuts, put side by side: ``features`` for the cut's own (MFCC, ...),
            ``egemaps``, ``bottleneck_tdnnf12``, ``ssl:3`` for one layer of several.
        pooling: see :class:`sertools.models.emotion.EmotionModelConfig`; done while reading.
        head_dim: width of a dense layer; 0 for none.
        aggregate: see :class:`sertools.models.emotion.EmotionModelConfig`.
        data: batches.
        training: the loop.
        dropout: Kaldi schedule of the dropout proportion before the output layer.
        loss: None for the usual one of the folds' target.
    """

    system: Literal["features_head"] = "features_head"
    features: tuple[str, ...] = (FEATURES,)
    pooling: Pooling = "frames"
    head_dim: int = 256
    aggregate: Aggregate = "probabilities"
    data: HeadDataConfig = field(default_factory=HeadDataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    dropout: str | float = 0.0
    loss: Loss | None = None

    def __post_init__(self) -> None:
        check_schedule("dropout", self.dropout)
        for name in self.features:
            if ":" in name and not name.partition(":")[2].isdigit():
                raise ValueError(f"features: '{name}' must be a name, or NAME:LAYER")
        if not self.features or len(set(self.features)) < len(self.features):
            raise ValueError(f"features must name one array or more, each once, not {list(self.features)}")

    @property
    def reading(self) -> Reading:
        """What is read of every cut."""
        return Reading(self.features, self.pooling, 0, self.data.normalise, self.data.memory_gb)

    @property
    def frame_settings(self) -> FrameSettings:
        """What the training of frames takes of it."""
        data = self.data
        return FrameSettings(
            data.batch_frames, data.max_frames, data.class_weights, str(self.dropout), self.aggregate, self.loss,
            scattered=True, mixup=data.mixup,
        )  # fmt: skip
