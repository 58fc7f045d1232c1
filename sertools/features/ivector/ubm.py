"""The universal background model: a mixture of diagonal Gaussians, and the posteriors it gives."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

CHUNK = 2048  # frames whose log-likelihoods are held at once: they stay in the processor's cache


@dataclass(frozen=True)
class PosteriorConfig:
    """Which Gaussians a frame counts for (Kaldi's VectorToPosteriorEntry).

    Attributes:
        num_gselect: at most so many Gaussians a frame.
        min_post: those with a smaller posterior are left out, and the rest renormalised.
        scale: of all posteriors: frames of speech depend on each other, and count for less.
    """

    num_gselect: int = 5
    min_post: float = 0.025
    scale: float = 0.1

    def __post_init__(self) -> None:
        if self.num_gselect < 1 or not 0 <= self.min_post < 1 or not 0 < self.scale <= 1:
            raise ValueError("num_gselect must be at least 1, min_post in [0, 1), scale in (0, 1]")


@dataclass(frozen=True)
class Posteriors:
    """Posteriors that are not zero, P of them, in the order of frames.

    Attributes:
        frames: int64 (P,).
        gaussians: int64 (P,).
        values: float32 (P,).
    """

    frames: Tensor
    gaussians: Tensor
    values: Tensor

    def scaled(self, by: float) -> "Posteriors":
        """The same, multiplied."""
        return Posteriors(self.frames, self.gaussians, self.values * by)


@dataclass(frozen=True)
class DiagonalUbm:
    """A mixture of K diagonal Gaussians over D dimensions, float64.

    Attributes:
        weights: (K,), sum 1.
        means, variances: (K, D).
    """

    weights: Tensor
    means: Tensor
    variances: Tensor

    @property
    def num_gaussians(self) -> int:
        """K."""
        return len(self.weights)

    @property
    def dim(self) -> int:
        """D."""
        return self.means.shape[1]

    def constants(self) -> Tensor:
        """float64 (K,): log-likelihood of each Gaussian, with its weight, at 0."""
        return self.weights.log() - 0.5 * (
            self.dim * math.log(2 * math.pi)
            + self.variances.log().sum(1)
            + (self.means.square() / self.variances).sum(1)
        )

    def scorer(self, like: Tensor) -> "Scorer":
        """The same mixture as one matrix, of the type and on the device of ``like``; made once."""
        where = like.device, like.dtype
        if where not in self._scorers:
            linear = torch.cat([self.means / self.variances, -0.5 / self.variances], 1)
            self._scorers[where] = Scorer(self.constants().to(like), linear.t().contiguous().to(like))
        return self._scorers[where]

    @cached_property
    def _scorers(self) -> "dict[tuple[torch.device, torch.dtype], Scorer]":
        return {}


@dataclass(frozen=True)
class Scorer:
    """A UBM ready for scoring: log-likelihoods are one product with [x, x^2]."""

    constants: Tensor
    matrix: Tensor

    def log_likelihoods(self, x: Tensor) -> Tensor:
        """log w_k N(x_t; mu_k, Sigma_k) of frames (T, D): (T, K)."""
        return torch.addmm(self.constants, torch.cat([x, x.square()], 1), self.matrix)

    def chunks(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Frames (T, D) in pieces, each with its log-likelihoods."""
        for piece in x.split(CHUNK):
            yield piece, self.log_likelihoods(piece)

    def posteriors(self, x: Tensor, config: PosteriorConfig) -> Posteriors:
        """Pruned, renormalised and scaled posteriors of frames (T, D)."""
        count = min(config.num_gselect, len(self.constants))
        values, gaussians = [], []
        for _, likelihoods in self.chunks(x):
            top, chosen = likelihoods.topk(count, 1)
            values.append(_prune(top, config))
            gaussians.append(chosen)
        dense = torch.cat(values)
        frames, columns = dense.nonzero(as_tuple=True)
        return Posteriors(frames, torch.cat(gaussians)[frames, columns], dense[frames, columns])


def _prune(top: Tensor, config: PosteriorConfig) -> Tensor:
    """Posteriors (T, n) from the n largest log-likelihoods, sorted; 0 for those left out."""
    post = (top - top[:, :1]).exp()
    post = post * (post > config.min_post)
    # against the sum before pruning, as Kaldi does
    post = post * (post >= config.min_post * post.sum(1, keepdim=True))
    return post * (config.scale / post.sum(1, keepdim=True))
