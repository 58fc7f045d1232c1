"""What is minimised, what is predicted and how dev is scored: for classes, and for numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sertools.emotion.system import Rated
from sertools.errors import UserError
from sertools.evaluation.stats.divergence import sums_of_utterances
from sertools.evaluation.stats.metrics import confusion
from sertools.evaluation.stats.moments import moments
from sertools.evaluation.stats.registry import metrics_of
from sertools.models.emotion import weights_of
from sertools.partitions.target import Target

Loss = Literal["cross_entropy", "smoothed", "focal", "soft_cross_entropy", "ccc", "mse"]
SMOOTHING = 0.1
"""The share of a label that smoothing gives to all classes alike."""
FOCUS = 2.0
"""The power of the focal loss."""


def cross_entropies(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """-log p of the true class: (..., C) and (...) to (...)."""
    return -log_probabilities.gather(-1, labels[..., None])[..., 0]


def smoothed_cross_entropies(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """Of labels that are 0.9 the true class and 0.1 all classes alike (Szegedy et al. 2016, section 7)."""
    plain = cross_entropies(log_probabilities, labels)
    return (1.0 - SMOOTHING) * plain - SMOOTHING * log_probabilities.mean(-1)


def focal_losses(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """-(1 - p)^2 log p of the true class: what is sure already counts little (Lin et al. 2017, equation 4)."""
    plain = cross_entropies(log_probabilities, labels)
    return (1.0 - torch.exp(-plain)).clamp(min=0.0) ** FOCUS * plain


def soft_cross_entropies(log_probabilities: Tensor, shares: Tensor) -> Tensor:
    """Of shares of the raters' votes in place of one class: (..., C) and (..., C) to (...)."""
    return -(log_probabilities * shares).sum(-1)


OF_CLASSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropies,
    "smoothed": smoothed_cross_entropies,
    "focal": focal_losses,
    "soft_cross_entropy": soft_cross_entropies,
}
"""Losses of classes: log-probabilities (..., C) and labels (...) to losses (...).  The first is the usual one; the last
takes shares (..., C), and is the usual one where raters' votes are the target."""


@dataclass(frozen=True)
class Objective:
    """The objective of a target.

    Attributes:
        target: what is predicted.
        loss: of classes one of :data:`OF_CLASSES`; of numbers ccc (1 minus the concordance correlation of a batch;
            Lin 1989) or mse.  What is told of dev is the cross-entropy, whatever trains.
    """

    target: Target
    loss: Loss

    @staticmethod
    def of(target: Target, loss: Loss | None, processes: int = 1) -> "Objective":
        """With a loss, None for the usual one (cross_entropy, soft_cross_entropy of raters' votes, ccc).

        Raises:
            UserError: the loss is not for such a target, or not for several processes.
        """
        usual: Loss = "soft_cross_entropy" if target.raters else "cross_entropy"
        wanted: Loss = loss or (usual if target.kind == "classes" else "ccc")
        if (wanted in OF_CLASSES) != (target.kind == "classes"):
            fits = ", ".join(OF_CLASSES) if target.kind == "classes" else "ccc, mse"
            raise UserError(f"loss: {wanted} is not for the target {target.name} of the folds; take {fits}")
        if wanted == "ccc" and processes > 1:
            raise UserError(
                "loss: ccc is of whole batches, which several processes share here; take mse, or one process"
            )
        return Objective(target, wanted)

    @staticmethod
    def of_outputs(target: Target) -> "Objective":
        """Of a trained system: what it says needs no raters' votes, which new recordings lack."""
        return Objective.of(replace(target, raters=False), None)

    def of_utterances(self, outputs: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """Mean loss of utterances.

        Args:
            outputs: (N, C) scores before the softmax (or log-posteriors), or (N, 1) values.
            labels: (N,) int64 classes, or float values; (N, C) shares of votes: see :meth:`labels`.
            class_weights: (C,), 1 in the mean over the training part; None for equal weights.
        """
        if self.loss in OF_CLASSES:
            losses = self.of_rows(F.log_softmax(outputs, -1), labels)
            return (losses if class_weights is None else losses * weights_of(labels, class_weights)).mean()
        values, wanted = outputs[..., 0], labels.to(outputs.dtype)
        return F.mse_loss(values, wanted) if self.loss == "mse" else 1.0 - ccc(values, wanted)

    @property
    def of_rows(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The loss of each row, of classes: see :data:`OF_CLASSES`."""
        return OF_CLASSES[self.loss]

    def dev_scores(self, loss: float, labels: Sequence[int | float], outputs: Tensor) -> dict[str, float]:
        """Scores of a dev part: its loss, and every metric of the target's kind (``dev_ua``, ``dev_ccc``, ...).

        Args:
            loss: of the dev part.
            labels: N classes or values.
            outputs: probabilities (N, C), or values (N,).
        """
        if self.target.kind == "number":
            statistics = moments(labels, outputs.double().cpu().numpy())
        else:
            recognised = outputs.argmax(1).tolist()
            statistics = confusion(labels, recognised, self.target.num_outputs).astype(np.float64)
        scores = {metric.dev_key: float(metric.of(statistics)) for metric in metrics_of(self.target.kind)}
        if self.target.raters:
            sums = sums_of_utterances(self.shares(labels).double().numpy(), outputs.double().cpu().numpy()).sum(0)
            scores |= {metric.dev_key: float(metric.of(sums)) for metric in metrics_of("distribution")}
        return {"dev_loss": loss} | scores

    def labels(self, labels: Sequence[int | float]) -> Tensor:
        """What :meth:`of_utterances` compares outputs with: (N,) int64 classes or float32 values, (N, C) shares."""
        return self.shares(labels) if self.loss == "soft_cross_entropy" else label_tensor(self.target, labels)

    def shares(self, labels: Sequence[int | float]) -> Tensor:
        """The raters' votes (N, C), float32.

        Raises:
            UserError: there are none.
        """
        if not all(isinstance(label, Rated) for label in labels):
            raise UserError(
                "loss: soft_cross_entropy needs the raters' votes, which these folds lack; target.raters in the folds' "
                "configuration takes them from the manifest"
            )
        return torch.tensor([label.shares for label in labels])  # type: ignore[union-attr]


def ccc(values: Tensor, wanted: Tensor) -> Tensor:
    """Concordance correlation 2 cov / (var + var' + (mean - mean')^2) of (N,) and (N,), biased moments.

    Two equal constants give 0, for there is nothing that agrees.
    """
    mean, other = values.mean(), wanted.mean()
    covariance = ((values - mean) * (wanted - other)).mean()
    spread = (values - mean).square().mean() + (wanted - other).square().mean() + (mean - other).square()
    return 2.0 * covariance / spread.clamp(min=1e-12)


def label_tensor(target: Target, labels: Sequence[int | float]) -> Tensor:
    """Labels as (N,): int64 classes, or float32 values."""
    return torch.tensor(labels, dtype=torch.int64 if target.kind == "classes" else torch.float32)
