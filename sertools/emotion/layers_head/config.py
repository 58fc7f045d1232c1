"""Settings of a head on hidden layers."""

from dataclasses import dataclass, field
from typing import Literal

from sertools.emotion.data import Reading
from sertools.emotion.features_head.config import HeadDataConfig
from sertools.emotion.frames import FrameSettings
from sertools.features.learned.ssl import NAME
from sertools.training.loop import TrainingConfig
from sertools.training.schedule import check_schedule

Scale = Literal["none", "standardise", "layer_norm"]
LayerPooling = Literal["mean", "statistics", "attention"]
Stored = Literal["statistics", "frames"]


@dataclass(frozen=True)
class LayersModelConfig:
    """What becomes of hidden layers.

    Attributes:
        layers: numbers of those that are read, or all there are; of several, a weighted sum is taken, whose weights
            are a softmax of what is learnt, equal at the start (Yang et al. 2021, SUPERB).
        scale: what is done to each layer before the sum: nothing; ``standardise``, mean 0 and variance 1 of every
            dimension over the training part; ``layer_norm``, of every row over its dimensions (of stored statistics,
            means and deviations apart).
        pooling: of time: mean; ``statistics``, mean and deviation (Snyder et al. 2018); ``attention``, a mean with
            learnt weights (Lin et al. 2017, arXiv 1703.03130, one hop).
        attention_dim: width of the attention.
        weights_learning_rate_factor: of the weights of layers: times the learning rate of the rest.
        head_dim: of the dense layer with ReLU after pooling; 0 for none.
    """

    layers: Literal["all"] | tuple[int, ...] = "all"
    scale: Scale = "standardise"
    pooling: LayerPooling = "statistics"
    attention_dim: int = 64
    weights_learning_rate_factor: float = 1.0
    head_dim: int = 256

    def __post_init__(self) -> None:
        if not self.layers or (self.layers != "all" and len(set(self.layers)) < len(self.layers)):
            raise ValueError(f"layers must be all, or name one layer or more, each once, not {self.layers}")
        if self.layers != "all" and min(self.layers) < 0:
            raise ValueError("layers are counted from 0")


@dataclass(frozen=True)
class LayersConfig:
    """A whole system.

    Attributes:
        system: tells it from other kinds.
        features: name of the array on the cuts, which has layers.
        stored: what there is of a layer: its frames, or their mean and deviation over time.  Of the latter, a
            weighted sum is one of each layer's deviations, which is not the deviation of a weighted sum.
        model: see :class:`LayersModelConfig`.
        data: see :class:`sertools.emotion.features_head.config.HeadDataConfig`; a row of stored statistics is an
            utterance.
        training: the loop.
        dropout: Kaldi schedule of the dropout proportion before the output layer.
    """

    system: Literal["layers_head"] = "layers_head"
    features: str = NAME
    stored: Stored = "statistics"
    model: LayersModelConfig = field(default_factory=LayersModelConfig)
    data: HeadDataConfig = field(default_factory=lambda: HeadDataConfig(batch_frames=32))
    training: TrainingConfig = field(default_factory=TrainingConfig)
    dropout: str | float = 0.0

    def __post_init__(self) -> None:
        check_schedule("dropout", self.dropout)
        if self.stored == "statistics" and self.model.pooling == "attention":
            raise ValueError("model.pooling: attention needs frames, and stored is statistics")

    @property
    def frame_settings(self) -> FrameSettings:
        """What the training takes of it."""
        data = self.data
        return FrameSettings(
            data.batch_frames, data.max_frames, data.class_weights, str(self.dropout), "probabilities", None,
            mixup=data.mixup,
        )  # fmt: skip

    def reading(self, layers: tuple[int, ...]) -> Reading:
        """What is read of every cut: these layers side by side."""
        names = tuple(f"{self.features}:{layer}" for layer in layers)
        return Reading(names, "frames", 0, self.data.normalise, self.data.memory_gb)
