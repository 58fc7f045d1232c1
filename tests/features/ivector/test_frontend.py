"""Online mean normalisation, splicing, PCA and LDA against slow, obvious versions."""

import numpy as np
import pytest
import torch

from sertools.features.ivector.frames import Frames
from sertools.features.ivector.frontend import CmvnConfig, ScatterStatistics, lda, normalise_online, pca, splice
from sertools.features.ivector.model import IvectorModel


def slow_cmvn(
    x: np.ndarray, mean: np.ndarray, c: CmvnConfig, speaker_sum: np.ndarray, speaker_count: float
) -> np.ndarray:
    """Frame by frame, as the description of Kaldi's OnlineCmvn reads."""
    out = []
    for t in range(len(x)):
        window = x[max(0, t - c.window + 1) : t + 1]
        total, count = window.sum(0), float(len(window))
        if count < c.window and speaker_count > 0:
            take = min(c.window - count, c.speaker_frames, speaker_count)
            total, count = total + take / speaker_count * speaker_sum, count + take
        if count < c.window:
            take = min(c.window - count, c.global_frames)
            total, count = total + take * mean, count + take
        out.append(x[t] - total / count)
    return np.array(out)


@pytest.mark.parametrize("speaker_count", [0.0, 3.0, 40.0])
def test_cmvn(speaker_count: float) -> None:
    generator = np.random.default_rng(0)
    utterances = [generator.normal(2, 1, (n, 3)).astype(np.float32) for n in (1, 7, 55)]
    config = CmvnConfig(window=20, speaker_frames=12, global_frames=5)
    mean, speaker_sum = generator.normal(size=3), generator.normal(size=(3, 3)) * speaker_count
    found = normalise_online(
        Frames.of([torch.from_numpy(u) for u in utterances]), torch.from_numpy(mean), config,
        torch.from_numpy(speaker_sum), torch.full((3,), speaker_count, dtype=torch.float64),
    )  # fmt: skip
    expected = [
        slow_cmvn(u.astype(float), mean, config, s, speaker_count) for u, s in zip(utterances, speaker_sum, strict=True)
    ]
    assert np.abs(found.numpy() - np.concatenate(expected)).max() < 1e-5


def test_splice_repeats_each_utterances_own_edges() -> None:
    utterances = [torch.arange(n * 2.0).view(n, 2) + 100 * n for n in (1, 2, 9)]
    frames = Frames.of(utterances)
    found = splice(frames.values, frames, 3).split([1, 2, 9])
    for utterance, spliced in zip(utterances, found, strict=True):
        for t in range(len(utterance)):
            around = [utterance[min(max(t + shift, 0), len(utterance) - 1)] for shift in range(-3, 4)]
            assert torch.equal(spliced[t], torch.cat(around))


def test_every_and_sums() -> None:
    utterances = [torch.randn(n, 2) for n in (1, 4, 5)]
    frames = Frames.of(utterances)
    kept, index = frames.every(2)
    assert torch.equal(kept.values, torch.cat([u[::2] for u in utterances]))
    assert torch.equal(frames.values[index], kept.values)
    assert kept.lengths.tolist() == [1, 2, 3]
    assert torch.allclose(frames.sums(), torch.stack([u.double().sum(0) for u in utterances]))


def test_pca_whitens_and_survives_dimensions_without_variance() -> None:
    x = torch.randn(500, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ torch.randn(
        6, 6, dtype=torch.float64
    )
    x[:, 5] = 3.0
    statistics = ScatterStatistics(6)
    for piece in x.split(123):
        part = ScatterStatistics(6)
        part.add(piece)
        statistics.merge(part)
    transform, offset = pca(statistics, 4)
    y = x @ transform.t() + offset
    assert torch.allclose(y.mean(0), torch.zeros(4, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(y.t() @ y / len(y), torch.eye(4, dtype=torch.float64), atol=1e-6)
    assert torch.isfinite(pca(statistics, 6)[0]).all()


def test_lda_finds_what_separates_classes() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(900) % 3
    x = torch.randn(900, 5, generator=generator, dtype=torch.float64) * torch.tensor([1.0, 10.0, 1.0, 5.0, 1.0])
    x[:, 2] += 4.0 * labels
    statistics = ScatterStatistics(5)
    statistics.add(x[:400], labels[:400])
    other = ScatterStatistics(5)
    other.add(x[400:], labels[400:])
    statistics.merge(other)
    transform, offset = lda(statistics, 1)
    y = (x @ transform.t() + offset)[:, 0]
    assert float(y.mean().abs()) < 1e-9
    within = torch.stack([y[labels == k].var(unbiased=False) for k in range(3)]).mean()
    assert float(within) == pytest.approx(1.0, rel=1e-6)
    assert abs(float(transform[0, 2]) / float(transform.norm())) > 0.95
    with pytest.raises(ValueError, match="two classes"):
        lda(ScatterStatistics(5), 1)


def test_statistics_are_of_frames_as_they_are_and_posteriors_of_normalised_ones(model: IvectorModel) -> None:
    frontend = model.frontend
    frames = Frames.of([torch.randn(n, 5, generator=torch.Generator().manual_seed(n)) for n in (7, 12)])
    normalised = normalise_online(frames, frontend.global_mean, frontend.cmvn)
    wanted = [
        splice(values, frames, 1).double() @ frontend.transform.t() + frontend.offset
        for values in (frames.values, normalised)
    ]
    for found, value in zip(frontend(frames), wanted, strict=True):
        torch.testing.assert_close(found, value.float(), rtol=1e-4, atol=1e-5)
    assert float((wanted[0] - wanted[1]).abs().max()) > 0.1
