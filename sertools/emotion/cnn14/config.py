"""Settings of S5's systems: the network, where it starts, what learns."""

from dataclasses import dataclass, field
from typing import Literal

from sertools.emotion.data import Reading
from sertools.emotion.objective import Loss
from sertools.features.frames.logmel import NAME
from sertools.models.cnn14 import Cnn14Config
from sertools.training.task import TrainingConfig


@dataclass(frozen=True)
class Cnn14DataConfig:
    """How utterances become batches.

    Attributes:
        batch_size: utterances of a training batch.
        crop_frames: in training, a random stretch of so many frames (301: three seconds); what is shorter is
            padded with silence to it, on dev and test too, where nothing is cut.
        eval_frames: on dev and test, a batch has at most so many frames, padding included; scores do not depend on it.
        class_weights: ``inverse`` weighs a class by the inverse of its number of training utterances, in a weighted
            mean (so a factor of all weights cancels).
        memory_gb: room for features in memory, in GB: what has none is read from disk in every epoch.  None:
            all is in memory.
    """

    batch_size: int = 8
    crop_frames: int = 301
    eval_frames: int = 4000
    class_weights: Literal["none", "inverse"] = "inverse"
    memory_gb: float | None = None

    def __post_init__(self) -> None:
        if min(self.batch_size, self.crop_frames, self.eval_frames) < 1:
            raise ValueError("batch_size, crop_frames and eval_frames must be positive")


@dataclass(frozen=True)
class Cnn14TransferConfig:
    """Where the network starts, and what learns.

    Attributes:
        start: ``random``; ``source``: a run of this kind on another task (``--input source=...``), without its head;
            ``audioset``: PANNs' file (``--input audioset=...``), without AudioSet's output layer.
        train: ``all`` layers, or the two ``linear`` ones only: what lies before them stays in evaluation mode, so
            that neither weights nor statistics of batch norm move, and nothing is dropped out.
        frozen: with ``linear``; ``training``: only the weights of what lies before them stay, as where only gradients
            are switched off (S5 does not say): statistics of batch norm move, and dropout is on.
    """

    start: Literal["random", "source", "audioset"] = "random"
    train: Literal["all", "linear"] = "all"
    frozen: Literal["evaluation", "training"] = "evaluation"

    def __post_init__(self) -> None:
        if self.start == "random" and self.train != "all":
            raise ValueError("transfer.train: linear needs start: source or audioset; random convolutions must learn")
        if self.frozen == "training" and self.train != "linear":
            raise ValueError("transfer.frozen: training needs train: linear; with all layers nothing is frozen")


def _training() -> TrainingConfig:
    return TrainingConfig(
        epochs=60, optimizer="nesterov", learning_rate=1e-3, final_learning_rate=1e-3, warmup=0.0, max_grad_norm=0.0
    )


@dataclass(frozen=True)
class Cnn14SystemConfig:
    """``conf/s5/*.yaml``: a whole system.

    Attributes:
        system: tells it from other kinds.
        features: name of the array on the cuts.
        model: the network.
        transfer: its start.
        data: batches.
        training: the loop; S5's by default.
        loss: None for the usual one of the folds' target.
        test_curve: score the test part at every epoch, for a figure (S5's figure 2).  No epoch is chosen by it.
    """

    system: Literal["cnn14"] = "cnn14"
    features: str = NAME
    model: Cnn14Config = field(default_factory=Cnn14Config)
    transfer: Cnn14TransferConfig = field(default_factory=Cnn14TransferConfig)
    data: Cnn14DataConfig = field(default_factory=Cnn14DataConfig)
    training: TrainingConfig = field(default_factory=_training)
    loss: Loss | None = None
    test_curve: bool = False

    def __post_init__(self) -> None:
        if self.data.crop_frames < self.model.fewest_frames:
            raise ValueError(
                f"data.crop_frames must be {self.model.fewest_frames} or more for {self.model.blocks} blocks"
            )
        if not self.training.select_by.startswith("dev_"):
            raise ValueError(f"training.select_by must be a dev score, not {self.training.select_by}")

    @property
    def reading(self) -> Reading:
        """What is read of every cut."""
        return Reading((self.features,), memory_gb=self.data.memory_gb)
