"""Training of the diagonal UBM by EM, growing it by splitting (Kaldi's train_diag_ubm.sh)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sertools.features.ivector.ubm import DiagonalUbm


@dataclass(frozen=True)
class UbmConfig:
    """How the UBM is trained; Kaldi's names and defaults.

    Attributes:
        num_gaussians: of the finished model.
        initial_proportion: so many of them are there at the beginning.
        num_frames: growing is done on at most so many frames, held in memory.
        init_iterations: EM iterations while growing; all Gaussians are there after half of them.
        iterations: EM iterations over all frames afterwards.
        subsample: every so many frames are used.
        min_variance: floor of variances.
        min_weight, min_occupancy: a Gaussian with less (as part of all frames; in frames) is removed.
        perturbation: halves of a split Gaussian differ by so many standard deviations.
    """

    num_gaussians: int = 512
    initial_proportion: float = 0.5
    num_frames: int = 500000
    init_iterations: int = 20
    iterations: int = 4
    subsample: int = 2
    min_variance: float = 0.001
    min_weight: float = 1e-4
    min_occupancy: float = 10.0
    perturbation: float = 0.1

    def __post_init__(self) -> None:
        if self.num_gaussians < 1 or self.subsample < 1 or not 0 < self.initial_proportion <= 1:
            raise ValueError("num_gaussians and subsample must be at least 1, initial_proportion in (0, 1]")

    @property
    def initial_gaussians(self) -> int:
        """Number of Gaussians to begin with."""
        return max(1, round(self.num_gaussians * self.initial_proportion))

    def gaussians_after(self, iteration: int) -> int:
        """Number of Gaussians after growing iteration ``iteration``, from 1."""
        growing = max(1, self.init_iterations // 2)
        step = math.ceil((self.num_gaussians - self.initial_gaussians) / growing)
        return min(self.num_gaussians, self.initial_gaussians + step * iteration)


@dataclass
class UbmStatistics:
    """What EM needs of the frames seen, float64: (K,), (K, D), (K, D), and totals."""

    occupancy: Tensor
    sum: Tensor
    square: Tensor
    log_likelihood: float = 0.0
    frames: int = 0

    @staticmethod
    def zeros(ubm: DiagonalUbm) -> "UbmStatistics":
        """Of no frames."""
        return UbmStatistics(torch.zeros_like(ubm.weights), torch.zeros_like(ubm.means), torch.zeros_like(ubm.means))

    @staticmethod
    def of(ubm: DiagonalUbm, x: Tensor) -> "UbmStatistics":
        """Of frames (T, D)."""
        statistics = UbmStatistics.zeros(ubm)
        statistics.accumulate(ubm, x)
        return statistics

    def accumulate(self, ubm: DiagonalUbm, x: Tensor) -> None:
        """E-step over frames (T, D), float32, on any device."""
        dim = x.shape[1]
        moments = self.sum.new_zeros(len(self.occupancy), 2 * dim)
        for piece, likelihoods in ubm.scorer(x).chunks(x):
            # softmax is many times faster than logsumexp and exp, which stumble over numbers near 0
            post = torch.threshold_(likelihoods.softmax(1), 1e-10, 0.0)
            self.log_likelihood += float((likelihoods.amax(1) - post.amax(1).log()).double().sum())
            self.occupancy += post.sum(0).double().cpu()
            moments += (post.t() @ torch.cat([piece, piece.square()], 1)).double().cpu()
        self.sum += moments[:, :dim]
        self.square += moments[:, dim:]
        self.frames += len(x)

    def add(self, other: "UbmStatistics") -> None:
        """Add the statistics of other frames."""
        self.occupancy += other.occupancy
        self.sum += other.sum
        self.square += other.square
        self.log_likelihood += other.log_likelihood
        self.frames += other.frames

    @property
    def objective(self) -> float:
        """Log-likelihood a frame under the model that the E-step used."""
        return self.log_likelihood / self.frames


def update(statistics: UbmStatistics, config: UbmConfig) -> tuple[DiagonalUbm, int]:
    """M-step: weights, means, and variances with their floor; Gaussians with little data are removed.

    Returns:
        The model, and how many Gaussians were removed.
    """
    occupancy = statistics.occupancy
    kept = (occupancy >= config.min_occupancy) & (occupancy / occupancy.sum() >= config.min_weight)
    if not kept.any():
        kept[occupancy.argmax()] = True
    count = occupancy[kept]
    means = statistics.sum[kept] / count[:, None]
    variances = statistics.square[kept] / count[:, None] - means.square()
    ubm = DiagonalUbm(count / count.sum(), means, variances.clamp(min=config.min_variance))
    return ubm, int((~kept).sum())


def initialise(x: Tensor, config: UbmConfig, generator: torch.Generator) -> DiagonalUbm:
    """Means at random frames of (T, D), the variance of all, equal weights."""
    count = min(config.initial_gaussians, len(x))
    means = x[torch.randperm(len(x), generator=generator)[:count].to(x.device)].double().cpu()
    variance = x.double().var(0, unbiased=False).clamp(min=config.min_variance).cpu()
    return DiagonalUbm(torch.full((count,), 1 / count, dtype=torch.float64), means, variance.repeat(count, 1))


def split(ubm: DiagonalUbm, target: int, config: UbmConfig, generator: torch.Generator) -> DiagonalUbm:
    """Split the heaviest Gaussian, again and again, until there are ``target`` (DiagGmm::Split)."""
    weights, means, variances = list(ubm.weights.tolist()), list(ubm.means), list(ubm.variances)
    while len(weights) < target:
        heaviest = max(range(len(weights)), key=weights.__getitem__)
        shift = variances[heaviest].sqrt() * torch.randn(ubm.dim, generator=generator, dtype=torch.float64)
        weights[heaviest] /= 2
        weights.append(weights[heaviest])
        means.append(means[heaviest] + config.perturbation * shift)
        means[heaviest] = means[heaviest] - config.perturbation * shift
        variances.append(variances[heaviest])
    return DiagonalUbm(torch.tensor(weights, dtype=torch.float64), torch.stack(means), torch.stack(variances))
