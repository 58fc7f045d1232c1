"""The UBM against scipy and brute force, and what EM promises."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm

from sertools.features.ivector.model import IvectorModel
from sertools.features.ivector.ubm import DiagonalUbm, PosteriorConfig
from sertools.features.ivector.ubm_training import UbmConfig, UbmStatistics, initialise, split, update


def exact(ubm: DiagonalUbm, x: torch.Tensor) -> np.ndarray:
    """log w_k N(x; mu_k, Sigma_k) by scipy, float64."""
    densities = norm.logpdf(x.double()[:, None].numpy(), ubm.means.numpy(), ubm.variances.sqrt().numpy()).sum(2)
    return densities + np.log(ubm.weights.numpy())


def test_log_likelihoods(model: IvectorModel) -> None:
    x = torch.randn(300, 4) * 3
    assert np.abs(model.ubm.scorer(x).log_likelihoods(x).numpy() - exact(model.ubm, x)).max() < 1e-3


@pytest.mark.parametrize("config", [PosteriorConfig(), PosteriorConfig(2, 0.2, 0.5), PosteriorConfig(50, 0.0, 1.0)])
def test_posteriors_as_kaldi_prunes_them(model: IvectorModel, config: PosteriorConfig) -> None:
    x = (torch.randn(400, 4, generator=torch.Generator().manual_seed(3)) * 2).float()
    found = model.ubm.scorer(x).posteriors(x, config)
    dense = torch.zeros(400, 6)
    dense[found.frames, found.gaussians] = found.values
    assert bool((found.frames[1:] >= found.frames[:-1]).all())
    for t, scores in enumerate(exact(model.ubm, x)):
        post = np.exp(scores - scores.max())
        kept = [k for k in np.argsort(-post) if post[k] > config.min_post][: config.num_gselect]
        total = post[kept].sum()
        kept = [k for k in kept if post[k] >= config.min_post * total]
        expected = np.zeros(6)
        expected[kept] = config.scale * post[kept] / post[kept].sum()
        assert np.abs(dense[t].numpy() - expected).max() < 1e-4


def test_statistics_are_those_of_soft_counts(model: IvectorModel) -> None:
    x = torch.randn(5000, 4) * 2
    scores = exact(model.ubm, x)
    post = np.exp(scores - logsumexp(scores, axis=1, keepdims=True))
    found = UbmStatistics.of(model.ubm, x[:3000])
    found.add(UbmStatistics.of(model.ubm, x[3000:]))
    assert np.allclose(found.occupancy, post.sum(0), rtol=1e-4)
    assert np.allclose(found.sum, post.T @ x.double().numpy(), rtol=1e-3, atol=1e-2)
    assert found.objective == pytest.approx(logsumexp(scores, axis=1).mean(), abs=1e-4)


def test_em_never_decreases_the_likelihood() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.cat([torch.randn(700, 3, generator=generator) + 4 * k for k in range(4)])
    config = UbmConfig(num_gaussians=8, initial_proportion=1.0, min_occupancy=0.0, min_weight=0.0)
    ubm = initialise(x, config, generator)
    before = -np.inf
    for _ in range(15):
        statistics = UbmStatistics.of(ubm, x)
        assert statistics.objective >= before - 1e-5
        before = statistics.objective
        ubm, _ = update(statistics, config)
    assert float(ubm.weights.sum()) == pytest.approx(1.0)


def test_splitting_takes_the_heaviest() -> None:
    ubm = DiagonalUbm(torch.tensor([0.6, 0.4]).double(), torch.zeros(2, 3).double(), torch.ones(2, 3).double())
    new = split(ubm, 3, UbmConfig(), torch.Generator().manual_seed(0))
    assert new.weights.tolist() == pytest.approx([0.3, 0.4, 0.3])
    assert torch.allclose(new.means[0], -new.means[2])
    assert 0 < float(new.means[0].norm()) < 1
    assert [UbmConfig(num_gaussians=32, init_iterations=10).gaussians_after(i) for i in (1, 4, 9)] == [20, 32, 32]


def test_gaussians_with_little_data_are_removed_and_silence_is_floored() -> None:
    x = torch.cat([torch.zeros(1000, 2), torch.full((3, 2), 50.0)])
    config = UbmConfig(num_gaussians=2)
    ubm = DiagonalUbm(
        torch.tensor([0.5, 0.5]).double(), torch.tensor([[0.0, 0.0], [50.0, 50.0]]).double(), torch.ones(2, 2).double()
    )
    new, removed = update(UbmStatistics.of(ubm, x), config)
    assert removed == 1
    assert new.num_gaussians == 1
    assert float(new.variances.min()) == config.min_variance
    assert torch.isfinite(new.constants()).all()


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="num_gselect"):
        PosteriorConfig(num_gselect=0)
    with pytest.raises(ValueError, match="num_gaussians"):
        UbmConfig(num_gaussians=0)
