"""The i-vector extractor: a speaker-dependent mean M_i x for each of the UBM's Gaussians.

Kaldi's model (ivector/ivector-extractor.h): a frame of Gaussian i is N(M_i x, Sigma_i), where
x ~ N(p e_0, I) is the i-vector.  There is no separate mean: the prior offset p on the first
coordinate and the first column of M_i hold it.
"""

from dataclasses import dataclass
from functools import cached_property

import scipy.linalg.lapack
import torch
from torch import Tensor

NOT_POSITIVE = "an i-vector's system is not positive definite; are there NaNs in the features?"


@dataclass(frozen=True)
class IvectorExtractor:
    """An extractor with K full-covariance Gaussians over D dimensions and i-vectors of dimension E.

    Attributes:
        weights: float64 (K,), the UBM's.
        projections: float64 (K, D, E), M_i.
        precisions: float64 (K, D, D), the inverse of Sigma_i.
        prior_offset: p.
    """

    weights: Tensor
    projections: Tensor
    precisions: Tensor
    prior_offset: float

    @property
    def num_gaussians(self) -> int:
        """K."""
        return self.projections.shape[0]

    @property
    def dim(self) -> int:
        """E, the dimension of i-vectors."""
        return self.projections.shape[2]

    @cached_property
    def _tables(self) -> dict[torch.device, "Tables"]:
        return {}

    def tables_on(self, device: torch.device | str) -> "Tables":
        """What extraction looks up, float32; made once, and copied to a device once."""
        where = torch.device(device)
        if where not in self._tables:
            self._tables[where] = self.tables if where.type == "cpu" else self.tables.to(where)
        return self._tables[where]

    @cached_property
    def tables(self) -> "Tables":
        """What extraction looks up, float32, on the CPU."""
        linear = self.precisions @ self.projections
        quadratic = self.projections.transpose(1, 2) @ linear
        return Tables(linear.flatten(0, 1).float(), quadratic.flatten(1).float())


@dataclass(frozen=True)
class Tables:
    """Products of an extractor's parameters.

    Attributes:
        linear: (K D, E), row iD + d is row d of Sigma_i^-1 M_i.
        quadratic: (K, E E), row i is U_i = M_i' Sigma_i^-1 M_i.
    """

    linear: Tensor
    quadratic: Tensor

    def to(self, device: torch.device | str) -> "Tables":
        """The same on another device."""
        return Tables(self.linear.to(device), self.quadratic.to(device))


def solve(quadratic: Tensor, linear: Tensor) -> Tensor:
    """Solve symmetric positive definite systems.

    Args:
        quadratic: (B, E, E); overwritten.
        linear: (B, E).

    Returns:
        (B, E).

    Raises:
        ArithmeticError: one is not positive definite.
    """
    if quadratic.device.type != "cpu":
        factor, failed = torch.linalg.cholesky_ex(quadratic)
        if bool(failed.any()):
            raise ArithmeticError(NOT_POSITIVE)
        return torch.cholesky_solve(linear[..., None], factor)[..., 0]
    # LAPACK through scipy, one matrix after the other, takes half the time of torch.linalg
    matrices, vectors = quadratic.numpy(), linear.numpy()
    posv = scipy.linalg.lapack.dposv if quadratic.dtype == torch.float64 else scipy.linalg.lapack.sposv
    result = torch.empty_like(linear)
    for i in range(len(matrices)):
        # the transpose of a symmetric matrix is itself, in the order that LAPACK wants
        _, solution, info = posv(matrices[i].T, vectors[i], overwrite_a=True)
        if info != 0:
            raise ArithmeticError(NOT_POSITIVE)
        result[i] = torch.from_numpy(solution)
    return result
