"""EM for the i-vector extractor (Kaldi's IvectorExtractorStats).

One i-vector an utterance.  E-step: its posterior N(w, V) from zeroth and first order statistics;
M-step: projections, then covariances with their floor, then the prior, which is brought back to
N(p e_0, I) by changing the coordinates of all i-vectors.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sertools.features.ivector.extractor import IvectorExtractor
from sertools.features.ivector.frames import Frames
from sertools.features.ivector.ubm import DiagonalUbm, Posteriors


@dataclass(frozen=True)
class ExtractorConfig:
    """How the extractor is trained; Kaldi's names and defaults.

    Attributes:
        dim: of i-vectors.
        iterations: of EM.
        subsample: every so many frames are used, and their posteriors scaled up by it.
        prior_offset: p before the first iteration.
        gaussian_min_count: Gaussians with a smaller count (after scaling) keep their parameters.
        variance_floor: covariances are at least this part of their average.
        max_condition: of the systems solved for the projections.
        diagonalise: rotate i-vectors so that their average precision is diagonal and sorted.
    """

    dim: int = 100
    iterations: int = 10
    subsample: int = 2
    prior_offset: float = 100.0
    gaussian_min_count: float = 100.0
    variance_floor: float = 0.1
    max_condition: float = 1e4
    diagonalise: bool = True

    def __post_init__(self) -> None:
        if self.dim < 2 or self.iterations < 1 or self.subsample < 1:
            raise ValueError("dim must be at least 2, iterations and subsample at least 1")
        if self.prior_offset <= 0 or self.variance_floor <= 0:
            raise ValueError("prior_offset and variance_floor must be positive")


def initialise(ubm: DiagonalUbm, config: ExtractorConfig, generator: torch.Generator) -> IvectorExtractor:
    """Random projections, except that M_i p e_0 is the UBM's mean; the UBM's variances."""
    projections = torch.randn(ubm.num_gaussians, ubm.dim, config.dim, generator=generator, dtype=torch.float64)
    projections[:, :, 0] = ubm.means / config.prior_offset
    return IvectorExtractor(ubm.weights, projections, torch.diag_embed(1 / ubm.variances), config.prior_offset)


@dataclass
class ExtractorStatistics:
    """What EM needs of the utterances seen; float64, on the CPU.

    Attributes:
        counts: (K,), sum of gamma_i.
        cross: (K, D, E), Y_i = sum over utterances of X_i w'.
        second: (K, E, E), R_i = sum of gamma_i (V + w w').
        scatter: (K, D, D), S_i = sum of posterior f f'.
        ivector_sum, ivector_scatter: (E,), (E, E): sums of w and of V + w w'.
        auxiliary: the auxiliary function, summed over frames.
        utterances: how many.
    """

    counts: Tensor
    cross: Tensor
    second: Tensor
    scatter: Tensor
    ivector_sum: Tensor
    ivector_scatter: Tensor
    auxiliary: float = 0.0
    utterances: int = 0

    @staticmethod
    def zeros(extractor: IvectorExtractor) -> "ExtractorStatistics":
        """Of no utterances."""
        k, d, e = extractor.projections.shape

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64)

        return ExtractorStatistics(zeros(k), zeros(k, d, e), zeros(k, e, e), zeros(k, d, d), zeros(e), zeros(e, e))

    def add(self, other: "ExtractorStatistics") -> None:
        """Add the statistics of other utterances."""
        for name in ("counts", "cross", "second", "scatter", "ivector_sum", "ivector_scatter"):
            getattr(self, name).add_(getattr(other, name))
        self.auxiliary += other.auxiliary
        self.utterances += other.utterances

    @property
    def objective(self) -> float:
        """Auxiliary function a frame, under the extractor that the E-step used."""
        return self.auxiliary / float(self.counts.sum())


def accumulate(
    statistics: ExtractorStatistics, extractor: IvectorExtractor, frames: Frames, posteriors: Posteriors
) -> None:
    """E-step: add the statistics of some utterances.

    Args:
        statistics: added to.
        extractor: the current model.
        frames: float32 (T, D), without mean normalisation.
        posteriors: of these frames, scaled.
    """
    tables = extractor.tables_on(frames.values.device)
    k, _, e = extractor.projections.shape
    counts, sums, scatter = _moments(frames, posteriors, k)
    linear = sums.flatten(1) @ tables.linear
    quadratic = (counts @ tables.quadratic).view(-1, e, e)
    means, covariances = _ivector_posteriors(linear, quadratic, extractor.prior_offset)
    second = covariances + means[:, :, None] * means[:, None, :]
    statistics.auxiliary += _auxiliary(extractor, counts, scatter, linear, quadratic, means, covariances)
    statistics.utterances += len(means)
    statistics.counts += counts.sum(0).double().cpu()
    cross = sums.transpose(0, 1).transpose(1, 2) @ means.float()
    statistics.cross += cross.double().cpu()
    statistics.second += (counts.t() @ second.flatten(1).float()).view(k, e, e).double().cpu()
    statistics.scatter += scatter.double().cpu()
    statistics.ivector_sum += means.sum(0).cpu()
    statistics.ivector_scatter += second.sum(0).cpu()


def _moments(frames: Frames, posteriors: Posteriors, num_gaussians: int) -> tuple[Tensor, Tensor, Tensor]:
    """gamma (N, K) and X (N, K, D) of each utterance, and S (K, D, D) of all."""
    x = frames.values
    n, d = len(frames.lengths), x.shape[1]
    utterance = frames.utterance_of_frame().to(x.device)
    cell = utterance[posteriors.frames] * num_gaussians + posteriors.gaussians
    weighted = posteriors.values[:, None] * x[posteriors.frames]
    counts = x.new_zeros(n * num_gaussians).index_add_(0, cell, posteriors.values)
    sums = x.new_zeros(n * num_gaussians, d).index_add_(0, cell, weighted)
    order = posteriors.gaussians.argsort()
    sizes = torch.bincount(posteriors.gaussians, minlength=num_gaussians).tolist()
    scatter = x.new_zeros(num_gaussians, d, d)
    pairs = zip(weighted[order].split(sizes), x[posteriors.frames[order]].split(sizes), strict=True)
    for gaussian, (left, right) in enumerate(pairs):
        if len(left):
            torch.mm(left.t(), right, out=scatter[gaussian])
    return counts.view(n, num_gaussians), sums.view(n, num_gaussians, d), scatter


def _ivector_posteriors(linear: Tensor, quadratic: Tensor, prior_offset: float) -> tuple[Tensor, Tensor]:
    """Mean (N, E) and covariance (N, E, E), float64, of each utterance's i-vector."""
    precision = quadratic.double()
    precision.diagonal(dim1=1, dim2=2).add_(1.0)
    covariances = torch.cholesky_inverse(torch.linalg.cholesky(precision))
    linear = linear.double()
    linear[:, 0] += prior_offset
    return (covariances @ linear[:, :, None])[:, :, 0], covariances


def _auxiliary(
    extractor: IvectorExtractor, counts: Tensor, scatter: Tensor, linear: Tensor, quadratic: Tensor,
    means: Tensor, covariances: Tensor,
) -> float:  # fmt: skip
    """Kaldi's GetAuxf, summed over utterances: expected log-likelihood, minus the KL divergence of
    the i-vector's posterior from its prior."""
    total = counts.double().sum(0).cpu()
    dim = scatter.shape[1]
    log_determinants = torch.linalg.slogdet(extractor.precisions)[1]
    constants = extractor.weights.log() + 0.5 * log_determinants - 0.5 * dim * math.log(2 * math.pi)
    value = float(total @ constants) - 0.5 * float((extractor.precisions * scatter.double().cpu()).sum())
    second = covariances + means[:, :, None] * means[:, None, :]
    value += float((means * linear.double()).sum() - 0.5 * (second * quadratic.double()).sum())
    offset = means.clone()
    offset[:, 0] -= extractor.prior_offset
    logdet = 2 * torch.linalg.cholesky(covariances).diagonal(dim1=1, dim2=2).log().sum()
    trace = covariances.diagonal(dim1=1, dim2=2).sum()
    return value - 0.5 * float(offset.square().sum() + trace - logdet - covariances.shape[1] * len(means))


@dataclass(frozen=True)
class Update:
    """What an M-step did.

    Attributes:
        extractor: the new model.
        unchanged: Gaussians with too little data to be updated.
        floored: eigenvalues of covariances that were raised to the floor.
    """

    extractor: IvectorExtractor
    unchanged: int
    floored: int


def update(extractor: IvectorExtractor, statistics: ExtractorStatistics, config: ExtractorConfig) -> Update:
    """M-step."""
    enough = statistics.counts >= config.gaussian_min_count
    projections = extractor.projections.clone()
    projections[enough] = _update_projections(
        extractor.projections[enough], statistics.cross[enough], statistics.second[enough], config.max_condition
    )
    precisions = extractor.precisions.clone()
    precisions[enough], floored = _update_precisions(projections, statistics, enough, config.variance_floor)
    new = IvectorExtractor(extractor.weights, projections, precisions, extractor.prior_offset)
    return Update(_update_prior(new, statistics, config.diagonalise), int((~enough).sum()), floored)


def _update_projections(old: Tensor, cross: Tensor, second: Tensor, max_condition: float) -> Tensor:
    """M_i = Y_i R_i^-1, solved as Kaldi's SolveQuadraticMatrixProblem does.

    The change of M_i is solved for, with R_i scaled to a diagonal of ones; eigenvalues below
    1 / ``max_condition`` of the largest are raised, so that directions without data stay put.
    """
    scale = second.diagonal(dim1=1, dim2=2).sqrt()
    scaled = second / (scale[:, :, None] * scale[:, None, :])
    gradient = ((cross - old @ second) / scale[:, None, :]).transpose(1, 2)
    factor, failed = torch.linalg.cholesky_ex(scaled)
    inverse = torch.cholesky_inverse(factor)
    # the 1-norm bounds the 2-norm of a symmetric matrix: where this holds no eigenvalue is too small
    well = (failed == 0) & (scaled.abs().sum(1).amax(1) * inverse.abs().sum(1).amax(1) < max_condition)
    change = torch.empty_like(gradient)
    change[well] = inverse[well] @ gradient[well]
    if not well.all():
        values, vectors = torch.linalg.eigh(scaled[~well])
        values = torch.maximum(values, values[:, -1:] / max_condition)
        change[~well] = vectors @ ((vectors.transpose(1, 2) @ gradient[~well]) / values[:, :, None])
    return old + change.transpose(1, 2) / scale[:, None, :]


def _update_precisions(
    projections: Tensor, statistics: ExtractorStatistics, enough: Tensor, variance_floor: float
) -> tuple[Tensor, int]:
    """Inverse of Sigma_i = (S_i - Y_i M_i' - M_i Y_i' + M_i R_i M_i') / gamma_i, floored."""
    m, y = projections[enough], statistics.cross[enough]
    ym = y @ m.transpose(1, 2)
    scatter = statistics.scatter[enough] - ym - ym.transpose(1, 2) + m @ statistics.second[enough] @ m.transpose(1, 2)
    if not len(scatter):
        return scatter, 0
    counts = statistics.counts[enough]
    floor = torch.linalg.cholesky(variance_floor * scatter.sum(0) / counts.sum())
    # where the floor is I, its eigenvalues are 1
    half = torch.linalg.solve_triangular(floor, scatter / counts[:, None, None], upper=False)
    relative = torch.linalg.solve_triangular(floor, half.transpose(1, 2), upper=False)
    values, vectors = torch.linalg.eigh((relative + relative.transpose(1, 2)) / 2)
    back = torch.linalg.solve_triangular(floor.t(), vectors, upper=True)
    precisions = (back / values.clamp(min=1.0)[:, None, :]) @ back.transpose(1, 2)
    return precisions, int((values < 1.0).sum())


def _update_prior(extractor: IvectorExtractor, statistics: ExtractorStatistics, diagonalise: bool) -> IvectorExtractor:
    """New coordinates in which i-vectors are N(p e_0, I) again (UpdatePrior).

    The covariance of i-vectors is whitened, then a Householder reflection sends their mean to the
    first axis, then, with ``diagonalise``, the other axes are rotated.
    """
    mean = statistics.ivector_sum / statistics.utterances
    covariance = statistics.ivector_scatter / statistics.utterances - torch.outer(mean, mean)
    values, vectors = torch.linalg.eigh(covariance)
    whiten = vectors.t() / values.clamp(min=1e-7).sqrt()[:, None]
    direction = whiten @ mean
    direction = direction / direction.norm()
    e0 = torch.zeros_like(direction)
    e0[0] = 1.0
    reflected = whiten
    if float(direction[0]) < 1.0 - 1e-12:
        a = (direction - e0) / math.sqrt(2 * (1 - float(direction[0])))
        reflected = whiten - 2 * torch.outer(a, a @ whiten)
    if diagonalise:
        projections = extractor.projections @ torch.linalg.inv(reflected)
        quadratic = projections.transpose(1, 2) @ extractor.precisions @ projections
        average = (extractor.weights[:, None, None] * quadratic).sum(0)[1:, 1:]
        rotation = torch.linalg.eigh((average + average.t()) / 2)[1].flip(1).t()
        reflected = torch.cat([reflected[:1], rotation @ reflected[1:]])
    projections = extractor.projections @ torch.linalg.inv(reflected)
    return IvectorExtractor(extractor.weights, projections, extractor.precisions, float((reflected @ mean)[0]))
