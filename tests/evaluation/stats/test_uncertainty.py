"""Error bars: cases with a known answer."""

import numpy as np
import pytest
import scipy.stats

from sertools.evaluation.stats.metrics import Floats
from sertools.evaluation.stats.uncertainty import (
    bootstrap_difference,
    bootstrap_over_speakers,
    counts_by_speaker,
    deviation,
    expanded_tail,
)
from sertools.runs.predictions import make_predictions


def test_two_speakers_have_four_equally_likely_draws() -> None:
    # one speaker all right, the other all wrong: WA is 0, 0.5, 0.5 or 1
    total = np.full((2, 1, 2), 10)
    right = np.stack([total[0], np.zeros_like(total[0])])
    ua, wa = bootstrap_over_speakers(right, total, level=0.9)
    assert (ua.low, ua.high) == (wa.low, wa.high) == (0, 1)
    # the percentiles of so few speakers are widened much: 32 % are left out at each end, not 40
    inner, _ = bootstrap_over_speakers(right, total, level=0.2)
    assert (inner.low, inner.high) == (0.5, 0.5)


def test_width_is_that_of_the_normal_approximation() -> None:
    # many speakers with equally many utterances: the mean of S values has standard error sd / sqrt(S)
    generator = np.random.default_rng(0)
    right = generator.integers(20, 81, (400, 1, 1))
    interval, wa = bootstrap_over_speakers(right, np.full_like(right, 100))
    shares = right.reshape(-1) / 100
    half = 1.96 * shares.std(ddof=1) / 20
    assert interval == wa
    assert interval.low == pytest.approx(shares.mean() - half, abs=0.1 * half)
    assert interval.high == pytest.approx(shares.mean() + half, abs=0.1 * half)


def test_alike_speakers_leave_no_doubt() -> None:
    total = np.full((5, 3, 4), 10)
    ua, wa = bootstrap_over_speakers(total * 7 // 10, total)
    assert [ua.low, ua.high, wa.low, wa.high] == pytest.approx([0.7] * 4)


def test_percentiles_are_widened_as_published() -> None:
    # sqrt(10 / 9) 2.262 = 2.384 of the normal distribution
    assert expanded_tail(0.95, 10) == pytest.approx(scipy.stats.norm.cdf(-np.sqrt(10 / 9) * 2.262157), rel=1e-5)
    tails = [expanded_tail(0.95, size) for size in (2, 5, 10, 24, 100, 10_000)]
    assert tails == sorted(tails)
    assert tails[-1] == pytest.approx(0.025, rel=1e-3)
    with pytest.raises(ValueError, match="at least two"):
        expanded_tail(0.95, 1)


@pytest.mark.parametrize("num_speakers", [10, 24])
def test_intervals_cover_the_truth_about_as_often_as_they_say(num_speakers: int) -> None:
    generator = np.random.default_rng(num_speakers)
    sizes, difficulty = np.array([8, 8, 8, 4]), np.array([1.2, 0.3, -0.3, 0.5])

    def recalls(count: int) -> Floats:
        spread = generator.normal(0, 0.7, (count, 1)) + generator.normal(0, 0.7, (count, 4))
        return 1 / (1 + np.exp(-difficulty - spread))

    truth = recalls(100_000).mean()
    covered = 0
    for seed in range(300):
        right = generator.binomial(sizes, recalls(num_speakers))[:, None]
        found, _ = bootstrap_over_speakers(right, np.broadcast_to(sizes, right.shape), draws=1000, seed=seed)
        covered += found.low <= truth <= found.high
    assert 0.92 * 300 <= covered <= 0.98 * 300


def test_the_interval_of_a_difference_is_of_paired_speakers() -> None:
    # speakers differ much, the systems differ by 2 of 20 for every speaker: the difference is certain
    first = np.random.default_rng(5).integers(0, 19, (12, 3))
    second, total = first + 2, np.full((12, 3), 20)
    found = bootstrap_difference((second - first).astype(float), total)
    ends = [end for i in (found.ua, found.wa, *found.recalls) for end in (i.low, i.high)]
    assert ends == pytest.approx([0.1] * 10)


def test_the_interval_of_a_difference_to_nothing_is_that_of_the_result() -> None:
    right = np.random.default_rng(6).integers(0, 21, (9, 4))
    total = np.full((9, 4), 20)
    found = bootstrap_difference(right.astype(float), total)
    ua, wa = bootstrap_over_speakers(right[:, None], total[:, None])
    assert [found.ua.low, found.ua.high, found.wa.low, found.wa.high] == pytest.approx(
        [ua.low, ua.high, wa.low, wa.high]
    )
    with pytest.raises(ValueError, match="alike"):
        bootstrap_difference(right.astype(float), total[:, :2])


def test_a_class_of_few_speakers_or_none() -> None:
    total = np.array([[5, 5, 0]] + [[5, 0, 0]] * 5)
    found = bootstrap_difference(np.where(total > 0, 1.0, 0.0), total)
    assert [found.recalls[1].low, found.recalls[1].high] == pytest.approx([0.2, 0.2])
    assert np.isnan(found.recalls[2].low)


def test_dependence_within_speakers_widens_the_interval() -> None:
    generator = np.random.default_rng(1)
    ability = generator.uniform(0.3, 0.9, 20)
    hits = (generator.random((20, 50)) < ability[:, None]).astype(int)
    by_speaker, _ = bootstrap_over_speakers(hits.sum(axis=1).reshape(20, 1, 1), np.full((20, 1, 1), 50))
    by_utterance, _ = bootstrap_over_speakers(hits.reshape(1000, 1, 1), np.ones((1000, 1, 1), int))
    assert by_speaker.high - by_speaker.low > 1.8 * (by_utterance.high - by_utterance.low)


def test_seeds_of_a_speaker_are_drawn_together() -> None:
    # the seeds err on opposite speakers, so that their mean is the same whoever is drawn
    total = np.full((2, 2, 1), 10)
    right = np.array([[[10], [0]], [[0], [10]]])
    _, wa = bootstrap_over_speakers(right, total)
    assert (wa.low, wa.high) == (0.5, 0.5)


def test_a_class_that_a_draw_lacks_does_not_count() -> None:
    total = np.array([[[10, 0]], [[0, 10]]])
    ua, _ = bootstrap_over_speakers(total, total)
    assert (ua.low, ua.high) == (1, 1)


def test_draws_are_seeded_and_do_not_depend_on_blocks() -> None:
    right = np.random.default_rng(2).integers(0, 10, (6, 2, 3))
    total = np.full_like(right, 10)
    first = bootstrap_over_speakers(right, total, draws=1500)
    assert first == bootstrap_over_speakers(right, total, draws=1500)
    assert first != bootstrap_over_speakers(right, total, draws=1500, seed=1)


def test_counts_by_speaker() -> None:
    table = make_predictions(
        ("a", "b"),
        utterances=["u1", "u2", "u1", "u2"],
        speakers=["y", "x", "y", "x"],
        corpora="c",
        parts="test",
        folds="1",
        seeds=[5, 5, 7, 7],
        labels=["a", "b", "a", "b"],
        outputs=[[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]],
    )
    right, total = counts_by_speaker(table)
    assert total.tolist() == [[[0, 1], [0, 1]], [[1, 0], [1, 0]]]
    assert right.tolist() == [[[0, 0], [0, 1]], [[1, 0], [0, 0]]]


def test_refusals() -> None:
    with pytest.raises(ValueError, match="at least two"):
        bootstrap_over_speakers(np.ones((1, 1, 2), int), np.ones((1, 1, 2), int))
    with pytest.raises(ValueError, match="alike"):
        bootstrap_over_speakers(np.ones((2, 1, 2), int), np.ones((2, 2, 2), int))


def test_deviation() -> None:
    assert deviation([1.0, 2.0, 3.0]) == 1
    assert deviation([1.0]) is None
