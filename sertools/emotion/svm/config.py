"""Settings of a support vector machine."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SvmConfig:
    """One machine a class against the others, on standardised features.

    Attributes:
        system: tells it from other kinds.
        features: names of arrays of one row an utterance.
        kernel: linear, or rbf with scikit-learn's gamma: scale.
        costs: values of C, of which the one with the best dev UA is taken (for a number the least dev error).
        class_weights: ``balanced`` weighs a class by the inverse of its number of training utterances.
    """

    system: Literal["svm"] = "svm"
    features: tuple[str, ...] = ("functionals",)
    kernel: Literal["linear", "rbf"] = "rbf"
    costs: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0, 100.0)
    class_weights: Literal["none", "balanced"] = "balanced"

    def __post_init__(self) -> None:
        if not self.costs or min(self.costs) <= 0:
            raise ValueError("costs must be positive, and at least one")
        if not self.features or len(set(self.features)) < len(self.features):
            raise ValueError(f"features must name one array or more, each once, not {list(self.features)}")
