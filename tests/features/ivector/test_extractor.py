"""The extractor's EM against brute force in float64, and what EM promises."""

import numpy as np
import pytest
import torch
from torch import Tensor

from sertools.features.ivector import extractor_training as training
from sertools.features.ivector.extractor import IvectorExtractor, solve
from sertools.features.ivector.extractor_training import ExtractorConfig, ExtractorStatistics
from sertools.features.ivector.frames import Frames
from sertools.features.ivector.model import IvectorModel
from sertools.features.ivector.ubm import Posteriors

CONFIG = ExtractorConfig(dim=3, gaussian_min_count=1.0, variance_floor=1e-4, max_condition=1e12)


def drawn_from(extractor: IvectorExtractor, utterances: int = 40, frames: int = 30) -> tuple[Frames, Posteriors]:
    """Frames of the model itself, each with two Gaussians; i-vectors far from the prior."""
    g = torch.Generator().manual_seed(5)
    k, d, e = extractor.projections.shape
    ivectors = torch.randn(utterances, e, generator=g, dtype=torch.float64) * 2 + 1
    gaussians = torch.randint(k, (utterances * frames, 2), generator=g)
    noise = torch.randn(utterances * frames, d, generator=g, dtype=torch.float64)
    means = (extractor.projections[gaussians[:, 0]] @ ivectors.repeat_interleave(frames, 0)[:, :, None])[:, :, 0]
    share = torch.rand(utterances * frames, 1, generator=g)
    post = torch.cat([0.6 + 0.4 * share, 0.4 - 0.4 * share], 1)
    index = torch.arange(utterances * frames).repeat_interleave(2)
    values = Frames((means + noise).float(), torch.full((utterances,), frames))
    return values, Posteriors(index, gaussians.reshape(-1), post.reshape(-1))


def brute_force(extractor: IvectorExtractor, frames: Frames, posteriors: Posteriors) -> dict[str, np.ndarray]:
    """The E-step, utterance by utterance and frame by frame, as the equations stand."""
    m, s, p = extractor.projections.numpy(), extractor.precisions.numpy(), extractor.prior_offset
    k, d, e = m.shape
    out = {"cross": np.zeros((k, d, e)), "second": np.zeros((k, e, e)), "scatter": np.zeros((k, d, d))}
    auxiliary, ivectors = 0.0, []
    owner = frames.utterance_of_frame().numpy()
    for n in range(len(frames.lengths)):
        quadratic, linear = np.eye(e), np.zeros(e)
        linear[0] = p
        own = [
            (int(t), int(i), float(v))
            for t, i, v in zip(posteriors.frames, posteriors.gaussians, posteriors.values, strict=True)
            if owner[t] == n
        ]
        for t, i, v in own:
            f = frames.values[t].double().numpy()
            quadratic += v * m[i].T @ s[i] @ m[i]
            linear += v * m[i].T @ s[i] @ f
        covariance = np.linalg.inv(quadratic)
        w = covariance @ linear
        ivectors.append(w)
        second = covariance + np.outer(w, w)
        for t, i, v in own:
            f = frames.values[t].double().numpy()
            out["cross"][i] += v * np.outer(f, w)
            out["second"][i] += v * second
            out["scatter"][i] += v * np.outer(f, f)
            # E over x of log w_i N(f; M x, Sigma)
            auxiliary += v * (
                np.log(float(extractor.weights[i])) + 0.5 * np.linalg.slogdet(s[i])[1] - 0.5 * d * np.log(2 * np.pi)
                - 0.5 * (f @ s[i] @ f - 2 * f @ s[i] @ m[i] @ w + np.trace(m[i].T @ s[i] @ m[i] @ second))
            )  # fmt: skip
        offset = w - p * np.eye(e)[0]
        auxiliary -= 0.5 * (offset @ offset + np.trace(covariance) - np.linalg.slogdet(covariance)[1] - e)
    return out | {"auxiliary": np.array(auxiliary), "ivector_sum": np.sum(ivectors, 0)}


def e_step(extractor: IvectorExtractor, frames: Frames, posteriors: Posteriors) -> ExtractorStatistics:
    statistics = ExtractorStatistics.zeros(extractor)
    training.accumulate(statistics, extractor, frames, posteriors)
    return statistics


def test_e_step_is_the_posterior(model: IvectorModel) -> None:
    frames, posteriors = drawn_from(model.extractor, 6)
    found, expected = e_step(model.extractor, frames, posteriors), brute_force(model.extractor, frames, posteriors)
    for name in ("cross", "second", "scatter", "ivector_sum"):
        scale = np.abs(expected[name]).max()
        assert np.abs(getattr(found, name).numpy() - expected[name]).max() < 1e-5 * scale, name
    assert found.auxiliary == pytest.approx(float(expected["auxiliary"]), rel=1e-5)
    assert found.utterances == 6


def test_batches_add_up(model: IvectorModel) -> None:
    frames, posteriors = drawn_from(model.extractor, 4, 10)
    whole = e_step(model.extractor, frames, posteriors)
    parts = ExtractorStatistics.zeros(model.extractor)
    for first in (0, 2):
        chosen = (posteriors.frames // 20) == first // 2
        part = Posteriors(
            posteriors.frames[chosen] - 10 * first, posteriors.gaussians[chosen], posteriors.values[chosen]
        )
        parts.add(
            e_step(model.extractor, Frames(frames.values[10 * first : 10 * first + 20], torch.tensor([10, 10])), part)
        )
    assert torch.allclose(parts.second, whole.second, rtol=1e-5)
    assert parts.objective == pytest.approx(whole.objective, rel=1e-6)


def test_em_never_decreases_its_objective(model: IvectorModel) -> None:
    frames, posteriors = drawn_from(model.extractor)
    g = torch.Generator().manual_seed(9)
    extractor = training.initialise(model.ubm, ExtractorConfig(dim=3, prior_offset=5.0), g)
    objectives = []
    for _ in range(12):
        statistics = e_step(extractor, frames, posteriors)
        objectives.append(statistics.objective)
        extractor = training.update(extractor, statistics, CONFIG).extractor
    assert (np.diff(objectives) > -1e-4).all(), objectives
    assert objectives[-1] > objectives[0] + 1.0


@pytest.mark.parametrize("diagonalise", [True, False])
def test_after_the_update_ivectors_are_as_the_prior_says(model: IvectorModel, diagonalise: bool) -> None:
    frames, posteriors = drawn_from(model.extractor)
    statistics = e_step(model.extractor, frames, posteriors)
    new = training._update_prior(model.extractor, statistics, diagonalise)
    # the change of coordinates: M = M_new V
    flat, old = new.projections.flatten(0, 1), model.extractor.projections.flatten(0, 1)
    v = torch.linalg.lstsq(flat, old).solution
    assert torch.allclose(flat @ v, old, atol=1e-8)
    mean = statistics.ivector_sum / statistics.utterances
    covariance = statistics.ivector_scatter / statistics.utterances - torch.outer(mean, mean)
    assert torch.allclose(v @ covariance @ v.t(), torch.eye(3, dtype=torch.float64), atol=1e-8)
    expected = torch.zeros(3, dtype=torch.float64)
    expected[0] = new.prior_offset
    assert torch.allclose(v @ mean, expected, atol=1e-8)
    assert new.prior_offset > 0
    if diagonalise:
        u = (new.weights[:, None, None] * (new.projections.transpose(1, 2) @ new.precisions @ new.projections)).sum(0)[
            1:, 1:
        ]
        assert torch.allclose(u, torch.diag(u.diagonal()), atol=1e-8)
        assert bool((u.diagonal().diff() <= 1e-9).all())


def test_gaussians_with_little_data_keep_their_covariance_and_others_get_the_best(model: IvectorModel) -> None:
    frames, posteriors = drawn_from(model.extractor)
    statistics = e_step(model.extractor, frames, posteriors)
    statistics.counts[2] = 0.5
    update = training.update(model.extractor, statistics, CONFIG)
    assert update.unchanged == 1
    assert torch.equal(update.extractor.precisions[2], model.extractor.precisions[2])
    projections = training._update_projections(
        model.extractor.projections, statistics.cross, statistics.second, CONFIG.max_condition
    )
    assert torch.allclose(projections @ statistics.second, statistics.cross, rtol=1e-6, atol=1e-6)


def test_ill_conditioned_directions_stay_put() -> None:
    """R without any weight in one direction: M must not move there."""
    old = torch.ones(1, 2, 3, dtype=torch.float64)
    second = torch.eye(3, dtype=torch.float64)[None].clone()
    second[0, 0, 1] = second[0, 1, 0] = 1.0 - 1e-9
    cross = old @ second + torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    new = training._update_projections(old, cross, second, 1e4)
    along, across = torch.tensor([1.0, 1.0, 0.0]).double(), torch.tensor([1.0, -1.0, 0.0]).double()
    assert torch.allclose((new - old) @ across, torch.zeros(1, 2, dtype=torch.float64), atol=1e-6)
    assert torch.allclose((new - old) @ along, torch.ones(1, 2, dtype=torch.float64), atol=1e-6)


def test_covariances_are_floored(model: IvectorModel) -> None:
    frames, posteriors = drawn_from(model.extractor)
    statistics = e_step(model.extractor, frames, posteriors)
    loose, tight = (
        training.update(model.extractor, statistics, ExtractorConfig(3, gaussian_min_count=1, variance_floor=f))
        for f in (1e-6, 0.9)
    )
    assert loose.floored == 0
    assert tight.floored > 0

    def smallest(e: IvectorExtractor) -> float:
        return float(1 / torch.linalg.eigvalsh(e.precisions).max())

    assert smallest(tight.extractor) > smallest(loose.extractor)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_solve(dtype: torch.dtype) -> None:
    root = torch.randn(7, 5, 5, dtype=dtype)
    matrices: Tensor = root @ root.transpose(1, 2) + torch.eye(5, dtype=dtype)
    vectors = torch.randn(7, 5, dtype=dtype)
    found = solve(matrices.clone(), vectors)
    assert torch.allclose((matrices @ found[:, :, None])[:, :, 0], vectors, atol=1e-4)
    with pytest.raises(ArithmeticError, match="positive definite"):
        solve(-matrices, vectors)
