"""Support vector machines as tensors: fitted by scikit-learn, kept and applied without it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sertools.errors import MissingPackage
from sertools.evaluation.stats.metrics import Floats


@dataclass(frozen=True)
class Machine:
    """Machines that share support vectors, in float64.

    Attributes:
        kernel: linear or rbf.
        support: (S, F).
        coefficients: (outputs, S), of the dual.
        intercepts: (outputs,).
        gamma: of the rbf kernel.
    """

    kernel: Literal["linear", "rbf"]
    support: Tensor
    coefficients: Tensor
    intercepts: Tensor
    gamma: float

    def __call__(self, x: Tensor) -> Tensor:
        """Decision values (N, outputs) of x (N, F)."""
        x = x.double()
        if self.kernel == "linear":
            kernel = x @ self.support.T
        else:
            kernel = torch.exp(-self.gamma * torch.cdist(x, self.support).square())
        return kernel @ self.coefficients.T + self.intercepts

    def weights(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {"support": self.support, "coefficients": self.coefficients, "intercepts": self.intercepts,
                "gamma": torch.tensor([self.gamma], dtype=torch.float64)}  # fmt: skip

    @staticmethod
    def of(kernel: Literal["linear", "rbf"], weights: dict[str, Tensor]) -> "Machine":
        """Out of what :meth:`weights` gave."""
        return Machine(kernel, weights["support"], weights["coefficients"], weights["intercepts"],
                       float(weights["gamma"][0]))  # fmt: skip


def fit_classes(
    x: Tensor, labels: Tensor, classes: int, kernel: Literal["linear", "rbf"], cost: float, balanced: bool
) -> Machine:
    """One machine a class against the others.

    Args:
        x: standardised features (N, F).
        labels: int64 (N,).
        classes: C; one that does not occur is never recognised.
        kernel, cost: of the machines.
        balanced: weigh both sides of each machine by the inverse of their numbers.

    Raises:
        MissingPackage: scikit-learn is not installed.
    """
    svc = _sklearn().SVC
    data, gamma = x.double().numpy(), _gamma(x)
    coefficients, intercepts = np.zeros((classes, len(x))), np.full(classes, -1e3)
    for label in range(classes):
        of_class = (labels == label).numpy()
        if not of_class.any() or of_class.all():
            intercepts[label] = 1e3 if of_class.all() else -1e3
            continue
        fitted = svc(C=cost, kernel=kernel, gamma=gamma, class_weight="balanced" if balanced else None)
        fitted.fit(data, of_class)
        coefficients[label, fitted.support_] = fitted.dual_coef_[0]
        intercepts[label] = fitted.intercept_[0]
    return _shared(kernel, x, coefficients, intercepts, gamma)


def fit_number(x: Tensor, values: Tensor, kernel: Literal["linear", "rbf"], cost: float) -> Machine:
    """Support vector regression of values (N,), which should be standardised.

    Raises:
        MissingPackage: scikit-learn is not installed.
    """
    gamma = _gamma(x)
    fitted = _sklearn().SVR(C=cost, kernel=kernel, gamma=gamma, epsilon=0.1)
    fitted.fit(x.double().numpy(), values.double().numpy())
    coefficients = np.zeros((1, len(x)))
    coefficients[0, fitted.support_] = fitted.dual_coef_[0]
    return _shared(kernel, x, coefficients, np.asarray(fitted.intercept_, dtype=np.float64), gamma)


def _gamma(x: Tensor) -> float:
    """scikit-learn's ``gamma: scale``."""
    return float(1.0 / (x.shape[1] * max(float(x.double().var(unbiased=False)), 1e-12)))


def _shared(
    kernel: Literal["linear", "rbf"], x: Tensor, coefficients: Floats, intercepts: Floats, gamma: float
) -> Machine:
    used = np.abs(coefficients).sum(axis=0) > 0
    used[0] = True  # a machine without support vectors still has one row
    return Machine(kernel, x.double()[torch.from_numpy(used)], torch.from_numpy(coefficients[:, used]),
                   torch.from_numpy(intercepts), gamma)  # fmt: skip


def _sklearn():  # type: ignore[no-untyped-def]
    try:
        from sklearn import svm
    except ImportError as error:
        raise MissingPackage("scikit-learn", "a support vector machine", "pip install scikit-learn") from error
    return svm
