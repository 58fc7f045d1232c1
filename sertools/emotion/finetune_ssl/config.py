"""Settings of fine-tuning."""

from dataclasses import dataclass, field
from typing import Literal

from sertools.backbones.encoder import SpeechEncoder
from sertools.emotion.layers_head.config import LayerPooling, LayersConfig, LayersModelConfig, Scale
from sertools.training.precision import Precision
from sertools.training.schedule import linear_learning_rate
from sertools.training.task import TrainingConfig


@dataclass(frozen=True)
class HeadShape:
    """What is put on the pretrained model.

    Attributes:
        layers: ``last``; all, or numbers: of several a weighted sum is taken, see
            :class:`sertools.emotion.layers_head.config.LayersModelConfig`.
        scale: what is done to each frame of a layer: nothing; ``standardise``, mean 0 and variance 1 of every
            dimension over the frames of the training part, as they are before anything is trained; ``layer_norm``.
        pooling, attention_dim, head_dim: see there.
        dropout: proportion before the output layer.
    """

    layers: Literal["last", "all"] | tuple[int, ...] = "last"
    scale: Scale = "none"
    pooling: LayerPooling = "mean"
    attention_dim: int = 64
    head_dim: int = 256
    dropout: float = 0.1

    def chosen(self, encoder: SpeechEncoder) -> tuple[int, ...]:
        """Numbers of the layers that are read."""
        count = encoder.backbone.layers
        if self.layers == "last":
            return (count - 1,)
        return tuple(range(count)) if self.layers == "all" else self.layers

    def system(self) -> LayersConfig:
        """As the head of a system on frames of layers."""
        model = LayersModelConfig("all", self.scale, self.pooling, self.attention_dim, 1.0, self.head_dim)
        return LayersConfig(stored="frames", model=model)


@dataclass(frozen=True)
class TunedConfig:
    """What of the pretrained model learns.

    Attributes:
        part: the ``last`` layers of those that the head needs; ``but_convolutions``, all after what reads the signal;
            ``all``; ``adapters``; or ``none``: the head alone learns, on layers that are computed in every epoch, for
            where the disk is too small for frames of all of them.
        last_layers: with ``last``, how many.
        learning_rate_factor: times the learning rate of the head, which is the training's.
        head_part: of the training, in which the head alone learns; then everything that is to.
        rank: with ``adapters``: of the matrix that is added to each query and value projection; the rest is frozen
            (LoRA, Hu et al. 2021, arXiv 2106.09685).
        adapter_scale: times that matrix.
        gradient_checkpointing: less memory, more time; changes no value.
        start: ``random``: random weights of the run's seed instead of the pretrained ones, as a control.
    """

    part: Literal["last", "but_convolutions", "all", "adapters", "none"] = "but_convolutions"
    last_layers: int = 2
    learning_rate_factor: float = 0.1
    head_part: float = 0.0
    rank: int = 8
    adapter_scale: float = 1.0
    gradient_checkpointing: bool = False
    start: Literal["pretrained", "random"] = "pretrained"

    def __post_init__(self) -> None:
        if self.last_layers < 1 or self.rank < 1 or self.learning_rate_factor <= 0:
            raise ValueError("last_layers and rank must be at least 1, learning_rate_factor above 0")
        if self.start == "random" and self.part != "all":
            raise ValueError(f"part: {self.part} needs start: pretrained; random weights must all learn")
        if not 0 <= self.head_part < 1:
            raise ValueError(f"head_part must be at least 0 and below 1, not {self.head_part}")


@dataclass(frozen=True)
class TuningDataConfig:
    """How utterances become batches.

    Attributes:
        batch_seconds: of audio in a batch, with its padding.
        max_seconds: in training, of a longer utterance another such stretch is taken in every epoch.
        mask_starts: part of the frames at which a masked span begins, in training; 0: none.
        mask_length: of a span, in frames.
        channel_mask_starts: part of the channels of what the layers read at which a span of silent ones begins, in
            training; 0: none.
        channel_mask_length: of such a span, in channels.
        class_weights: ``balanced`` weighs a class by the inverse of the number of its utterances that train.
        memory_gb: room for waveforms in memory; None: all are.
    """

    batch_seconds: float = 60.0
    max_seconds: float = 10.0
    mask_starts: float = 0.05
    mask_length: int = 10
    channel_mask_starts: float = 0.0
    channel_mask_length: int = 10
    class_weights: Literal["none", "balanced"] = "none"
    memory_gb: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.max_seconds <= self.batch_seconds:
            raise ValueError("a batch (batch_seconds) must hold the longest stretch (max_seconds)")
        if not 0 <= self.mask_starts < 1 or self.mask_length < 1:
            raise ValueError("mask_starts must be at least 0 and below 1, mask_length at least 1")
        if not 0 <= self.channel_mask_starts < 1 or self.channel_mask_length < 1:
            raise ValueError("channel_mask_starts must be at least 0 and below 1, channel_mask_length at least 1")


@dataclass(frozen=True)
class TuningTraining(TrainingConfig):
    """The loop's settings, with defaults for fine-tuning.

    Attributes:
        decay: from the first to the final learning rate: linear, as transformers are fine-tuned, after the warm-up;
            or exponential, as the other systems have it.
    """

    epochs: int = 15
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-4
    warmup: float = 0.1
    weight_decay: float = 0.01
    decay: Literal["linear", "exponential"] = "linear"

    def rate(self, progress: float) -> float:
        """See :class:`sertools.training.task.TrainingConfig`."""
        if self.decay == "exponential":
            return super().rate(progress)
        return linear_learning_rate(self.learning_rate, self.final_learning_rate, self.warmup, progress)


@dataclass(frozen=True)
class FinetuneConfig:
    """A whole system; it is given --backbone, and cuts with audio.

    Attributes:
        system: tells it from other kinds.
        head, tuned, data, training: see there.
        precision: of the pretrained model's activations while it trains; weights, the head, losses and all of
            prediction are in float32.
    """

    system: Literal["finetune_ssl"] = "finetune_ssl"
    head: HeadShape = field(default_factory=HeadShape)
    tuned: TunedConfig = field(default_factory=TunedConfig)
    data: TuningDataConfig = field(default_factory=TuningDataConfig)
    training: TuningTraining = field(default_factory=TuningTraining)
    precision: Precision = "float32"
