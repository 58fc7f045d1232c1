"""Settings of S2's systems: DNN, pretraining and fine-tuning, progressive networks, and their controls."""

from dataclasses import dataclass, field
from typing import Literal

from sertools.models.columns import ColumnConfig
from sertools.training.stacked import StackConfig


@dataclass(frozen=True)
class MultitaskConfig:
    """A second output that learns along, of a field that the manifest has for every utterance.

    Attributes:
        field: speaker or gender.
        weight: of its loss beside the target's.
    """

    field: Literal["speaker", "gender"] = "speaker"
    weight: float = 0.3

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise ValueError(f"multitask.weight must be positive, not {self.weight}")


@dataclass(frozen=True)
class ProgressiveConfig:
    """One system.

    Attributes:
        system: tells it from other kinds.
        features: names of arrays of one row an utterance.
        method: ``plain``: a network (S2's DNN); ``finetune``: it starts from the hidden layers of ``sources`` (one;
            S2's PT/FT); ``progressive``: it reads every layer of the frozen ``sources`` (S2's ProgNet); ``probe``: a
            linear map of all layers of the frozen sources, without a network of its own.
        model: its shape; of a probe ``hidden`` is not used.
        sources: names of trained networks of this kind, given by ``--input NAME=EXP/fold_FOLD/seed_SEED/checkpoint``:
            a run's source has learnt from the very utterances that train the run.
        random_sources: so many frozen columns of random weights besides, of the shape of ``model``: a control.
        multitask: a second output; None for none.
        training: see :class:`sertools.training.stacked.StackConfig`.
        normalise: features have mean 0 and variance 1 over the ``train`` part; or, as S2, over all utterances of the
            ``corpus``, tested ones among them, and then every output says so.
    """

    system: Literal["progressive"] = "progressive"
    features: tuple[str, ...] = ("functionals",)
    method: Literal["plain", "finetune", "progressive", "probe"] = "plain"
    model: ColumnConfig = field(default_factory=ColumnConfig)
    sources: tuple[str, ...] = ()
    random_sources: int = 0
    multitask: MultitaskConfig | None = None
    training: StackConfig = field(default_factory=StackConfig)
    normalise: Literal["train", "corpus"] = "train"

    def __post_init__(self) -> None:
        if not self.features or len(set(self.features)) < len(self.features):
            raise ValueError(f"features must name one array or more, each once, not {list(self.features)}")
        if self.method == "plain" and (self.sources or self.random_sources):
            raise ValueError("method: plain has no sources; say finetune, progressive or probe")
        if self.method == "finetune" and (len(self.sources) != 1 or self.random_sources):
            raise ValueError("method: finetune starts from one source (sources: [NAME])")
        if self.method in ("progressive", "probe") and not self.sources and not self.random_sources:
            raise ValueError(f"method: {self.method} needs sources: [NAME, ...], or random_sources")
        if self.random_sources < 0:
            raise ValueError("random_sources must not be negative")
        if len(set(self.sources)) < len(self.sources):
            raise ValueError(f"sources must have different names, not {list(self.sources)}")
