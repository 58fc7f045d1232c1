"""Settings of the systems of S1: a TDNN-F and a head, from scratch, fine-tuned, or the head alone."""

from dataclasses import dataclass, field, replace
from typing import Literal

from sertools.data.masking import SpecAugment
from sertools.emotion.data import Normalise, Reading
from sertools.emotion.features_head.config import HeadConfig, HeadDataConfig
from sertools.emotion.objective import Loss
from sertools.emotion.tdnn.pretrained import Pretrained
from sertools.errors import UserError
from sertools.features.learned.bottlenecks import track_name
from sertools.models.emotion import EmotionModelConfig, check_layers
from sertools.models.tdnnf import TdnnfConfig
from sertools.training.loop import TrainingConfig
from sertools.training.precision import Precision
from sertools.training.schedule import check_schedule


@dataclass(frozen=True)
class DataConfig:
    """How utterances become batches.

    Attributes:
        batch_frames: a batch has at most so many frames, padding included; with bottlenecks that
            are pooled while they are read, so many utterances.
        max_frames: in training, longer utterances are cut to a random stretch; 0 for never.  For the
            head alone on frames, so many frames of an utterance are drawn.
        class_weights: ``balanced`` weighs a class by the inverse of its number of frames.
        normalise: see :class:`sertools.emotion.data.Reading`; of the features, or of the bottlenecks
            if the head alone is trained.
        memory_gb: room for features in memory, in GB: what has none is read from disk in every epoch.  None:
            all is in memory.
        mixup: of the head alone on pooled layers, see :class:`sertools.emotion.features_head.config.HeadDataConfig`.
        spec_augment: of the whole network: what is hidden of its features in training; None for nothing.
    """

    batch_frames: int = 10000
    max_frames: int = 1000
    class_weights: Literal["none", "balanced"] = "none"
    normalise: Normalise = "none"
    memory_gb: float | None = None
    mixup: float | None = None
    spec_augment: SpecAugment | None = None

    def __post_init__(self) -> None:
        if self.normalise == "speaker" and self.spec_augment is not None and self.spec_augment.of_cepstra:
            raise ValueError("spec_augment: the bands of cepstra that are normalised (normalise: speaker) are not "
                             "known; set spec_augment.frequency_masks: 0")  # fmt: skip


@dataclass(frozen=True)
class TransferConfig:
    """What is carried over from a pretrained network, and what learns.

    Attributes:
        start: ``pretrained``: the trunk has the weights of the pretrained network; ``random``: none.
        train: ``head``: the trunk stays as it is (bottleneck features); ``all``: everything learns;
            ``head_then_all``: first the head, then everything.
        head_part: of the training, in which ``head_then_all`` trains the head alone.
        trunk_learning_rate_factor: of the trunk, beside the head.
    """

    start: Literal["random", "pretrained"] = "random"
    train: Literal["all", "head", "head_then_all"] = "all"
    head_part: float = 0.3
    trunk_learning_rate_factor: float = 1.0

    def __post_init__(self) -> None:
        if self.start == "random" and self.train != "all":
            raise ValueError(f"train: {self.train} needs start: pretrained; a random trunk must learn")
        if not 0.0 <= self.head_part <= 1.0:
            raise ValueError(f"head_part must be in 0 .. 1, not {self.head_part}")


@dataclass(frozen=True)
class EmotionConfig:
    """``conf/tdnn.yaml``: a whole system.

    Attributes:
        model: the network.
        transfer: what comes from a pretrained one.
        data: batches.
        training: the loop.
        dropout: Kaldi schedule of the dropout proportion over training.
        orthonormal_every: the semi-orthogonal constraint is applied every so many updates
            (Kaldi: each with probability 1/4); 0 for never.
        precision: of the trunk's activations while it trains; weights, statistics, the head, losses and
            all of prediction are in float32.
        loss: None for the usual one of the folds' target, see :class:`sertools.emotion.objective.Objective`.
    """

    model: EmotionModelConfig = field(default_factory=EmotionModelConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    dropout: str | float = "0,0@0.20,0.5@0.50,0"
    orthonormal_every: int = 4
    precision: Precision = "float32"
    loss: Loss | None = None

    def __post_init__(self) -> None:
        check_schedule("dropout", self.dropout)
        if self.head_alone and self.precision != "float32":
            raise ValueError("precision: bfloat16 is of the trunk, which does not train here (train: head)")
        if self.head_alone and self.data.spec_augment is not None:
            raise ValueError("data.spec_augment hides features, and a head alone (train: head) reads stored layers; "
                             "data.mixup is for it, with pooling: statistics or dynamics")  # fmt: skip
        if not self.head_alone and self.data.mixup:
            raise ValueError("data.mixup is of the head alone on pooled layers (transfer.train: head, model.pooling: "
                             "statistics or dynamics); data.spec_augment is for whole networks")  # fmt: skip

    @property
    def head_alone(self) -> bool:
        """Whether only the head is trained, on bottlenecks that were extracted before."""
        return self.transfer.train == "head"

    @property
    def trunk(self) -> TdnnfConfig:
        """Shape of the trunk, once it is known."""
        assert self.model.trunk is not None
        return self.model.trunk

    def with_trunk(self, trunk: TdnnfConfig) -> "EmotionConfig":
        """The same with the trunk's shape filled in."""
        return replace(self, model=replace(self.model, trunk=trunk))

    @property
    def reading(self) -> Reading:
        """What is read of every cut, if the whole network is trained."""
        return Reading((), "frames", self.trunk.ivector_dim, self.data.normalise, self.data.memory_gb)

    @property
    def head(self) -> HeadConfig:
        """The head alone, as a system on stored features."""
        data = self.data
        return HeadConfig(
            features=tuple(map(track_name, self.model.layers)),
            pooling=self.model.pooling,
            head_dim=self.model.head_dim,
            aggregate=self.model.aggregate,
            data=HeadDataConfig(
                data.batch_frames, data.max_frames, data.class_weights, data.normalise, data.memory_gb, data.mixup
            ),
            training=self.training,
            dropout=self.dropout,
            loss=self.loss,
        )


def resolve(config: EmotionConfig, pretrained: Pretrained | None) -> EmotionConfig:
    """Fill in the trunk's shape.

    Raises:
        UserError: the configuration needs a pretrained network and there is none; it has another
            shape than the configuration says; it lacks a layer.
    """
    if pretrained is None:
        if config.transfer.start == "pretrained":
            raise UserError("transfer.start: pretrained needs --pretrained, the checkpoint of an acoustic model")
        if config.model.trunk is None:
            raise UserError(
                "the configuration has no model.trunk: give --pretrained, whose network then says the shape, "
                "or write the shape under model.trunk"
            )
        return config
    if config.model.trunk is not None and config.model.trunk != pretrained.trunk:
        raise UserError(f"model.trunk is not the shape of {pretrained.directory}; leave it out, it is taken from there")
    try:
        check_layers(config.model.layers, pretrained.trunk)
    except ValueError as error:
        raise UserError(f"{error} in {pretrained.directory}") from error
    return config.with_trunk(pretrained.trunk)
