"""Error bars: cases with a known answer."""

import numpy as np
import pytest
import scipy.stats

from sertools.evaluation.stats import uncertainty
from sertools.evaluation.stats.metric import Floats
from sertools.evaluation.stats.metrics import unweighted_accuracy_of_counts
from sertools.evaluation.stats.registry import metrics_of
from sertools.evaluation.stats.statistics import statistics
from sertools.evaluation.stats.uncertainty import (
    DRAWS,
    LEVEL,
    Interval,
    bootstrap,
    bootstrap_metrics,
    deviation,
    expanded_tail,
    interval,
)
from sertools.runs.predictions import Ints, make_predictions


def intervals(
    right: Ints, total: Ints, draws: int = DRAWS, level: float = LEVEL, seed: int = 0
) -> tuple[Interval, Interval]:
    """Of UA and WA, from counts (speakers, seeds, classes)."""
    counts = np.stack([right, total], axis=-2).astype(float)
    found = bootstrap(
        counts,
        {
            "UA": lambda c: unweighted_accuracy_of_counts(c[..., 0, :], c[..., 1, :]),
            "WA": lambda c: c[..., 0, :].sum(axis=-1) / c[..., 1, :].sum(axis=-1),
        },
        draws=draws,
        seed=seed,
    )
    return interval(found["UA"], level, len(total)), interval(found["WA"], level, len(total))


def test_two_speakers_have_four_equally_likely_draws() -> None:
    # one speaker all right, the other all wrong: WA is 0, 0.5, 0.5 or 1
    total = np.full((2, 1, 2), 10)
    right = np.stack([total[0], np.zeros_like(total[0])])
    ua, wa = intervals(right, total, level=0.9)
    assert (ua.low, ua.high) == (wa.low, wa.high) == (0, 1)
    # the percentiles of so few speakers are widened much: 32 % are left out at each end, not 40
    inner, _ = intervals(right, total, level=0.2)
    assert (inner.low, inner.high) == (0.5, 0.5)


def test_width_is_that_of_the_normal_approximation() -> None:
    # many speakers with equally many utterances: the mean of S values has standard error sd / sqrt(S)
    generator = np.random.default_rng(0)
    right = generator.integers(20, 81, (400, 1, 1))
    ua, wa = intervals(right, np.full_like(right, 100))
    shares = right.reshape(-1) / 100
    half = 1.96 * shares.std(ddof=1) / 20
    assert ua == wa
    assert ua.low == pytest.approx(shares.mean() - half, abs=0.1 * half)
    assert ua.high == pytest.approx(shares.mean() + half, abs=0.1 * half)


def test_alike_speakers_leave_no_doubt() -> None:
    total = np.full((5, 3, 4), 10)
    ua, wa = intervals(total * 7 // 10, total)
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
        found, _ = intervals(right, np.broadcast_to(sizes, right.shape), draws=1000, seed=seed)
        covered += found.low <= truth <= found.high
    assert 0.92 * 300 <= covered <= 0.98 * 300


def test_the_interval_of_a_difference_is_of_paired_speakers() -> None:
    # speakers differ much, the systems differ by 2 of 20 for every speaker: the difference is certain
    first = np.random.default_rng(5).integers(0, 19, (12, 1)).astype(float)
    drawn = [bootstrap(values / 20, {"mean": lambda s: s / 12})["mean"] for values in (first, first + 2)]
    found = interval(drawn[1] - drawn[0], LEVEL, 12)
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))
    assert interval(drawn[0], LEVEL, 12).half_width > 0.1


def test_what_a_draw_does_not_define_says_nothing() -> None:
    found = interval(np.array([np.nan, 0.2, 0.2, np.nan]), LEVEL, 5)
    assert (found.low, found.high) == pytest.approx((0.2, 0.2))
    assert np.isnan(interval(np.array([np.nan]), LEVEL, 5).low)


def test_dependence_within_speakers_widens_the_interval() -> None:
    generator = np.random.default_rng(1)
    ability = generator.uniform(0.3, 0.9, 20)
    hits = (generator.random((20, 50)) < ability[:, None]).astype(int)
    by_speaker, _ = intervals(hits.sum(axis=1).reshape(20, 1, 1), np.full((20, 1, 1), 50))
    by_utterance, _ = intervals(hits.reshape(1000, 1, 1), np.ones((1000, 1, 1), int))
    assert by_speaker.high - by_speaker.low > 1.8 * (by_utterance.high - by_utterance.low)


def test_seeds_of_a_speaker_are_drawn_together() -> None:
    # the seeds err on opposite speakers, so that their mean is the same whoever is drawn
    total = np.full((2, 2, 1), 10)
    right = np.array([[[10], [0]], [[0], [10]]])
    _, wa = intervals(right, total)
    assert (wa.low, wa.high) == (0.5, 0.5)


def test_a_class_that_a_draw_lacks_does_not_count() -> None:
    total = np.array([[[10, 0]], [[0, 10]]])
    ua, _ = intervals(total, total)
    assert (ua.low, ua.high) == (1, 1)


def test_draws_are_seeded_and_do_not_depend_on_blocks() -> None:
    right = np.random.default_rng(2).integers(0, 10, (6, 2, 3))
    total = np.full_like(right, 10)
    first = intervals(right, total, draws=1500)
    assert first == intervals(right, total, draws=1500)
    assert first != intervals(right, total, draws=1500, seed=1)


def test_statistics_of_speakers_repetitions_and_seeds() -> None:
    table = make_predictions(
        ("a", "b"),
        utterances=["u1", "u2"] * 4,
        speakers=["y", "x"] * 4,
        corpora="c",
        parts="test",
        repetitions=[1, 1, 1, 1, 2, 2, 2, 2],
        folds=["1"] * 4 + ["2"] * 4,
        seeds=[5, 5, 7, 7] * 2,
        labels=["a", "b"] * 4,
        outputs=[[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]] + [[0.9, 0.1]] * 4,
    )
    found = statistics(table)
    assert (found.speakers, found.repetitions, found.seeds) == (("x", "y"), (1, 2), (5, 7))
    assert found.values.shape == (2, 2, 2, 2, 2)
    # x says b; seed 5 of repetition 1 heard a, seed 7 heard b
    assert found.values[0, 0].tolist() == [[[0, 0], [1, 0]], [[0, 0], [0, 1]]]
    assert found.values[1, 1].tolist() == [[[1, 0], [0, 0]]] * 2
    assert found.runs.shape == (2, 4, 2, 2)
    assert found.values.sum() == len(table)


def test_one_speaker_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two"):
        intervals(np.ones((1, 1, 2), int), np.ones((1, 1, 2), int))


def test_deviation() -> None:
    assert deviation([1.0, 2.0, 3.0]) == 1
    assert deviation([1.0]) is None


def test_draws_do_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = np.random.default_rng(0).integers(1, 9, (12, 2, 4, 4)).astype(float)
    functions = {"share": lambda m: np.trace(m, axis1=-2, axis2=-1) / m.sum((-1, -2))}
    whole = bootstrap(statistics, functions, draws=1500, seed=3)["share"]
    monkeypatch.setattr(uncertainty, "CHUNK_BYTES", 8 * 32 * 7)
    assert np.array_equal(bootstrap(statistics, functions, draws=1500, seed=3)["share"], whole)


def test_metrics_by_what_they_look_at() -> None:
    """The same draws and the same values, to the last digit, as of all of the confusion counts."""
    counts = np.random.default_rng(1).integers(0, 4, size=(6, 3, 7, 7)).astype(np.float64)
    metrics = metrics_of("classes")
    assert all(metric.reduced for metric in metrics)
    whole = bootstrap(counts, {metric.name: metric.of for metric in metrics}, draws=50, seed=3)
    for name, values in bootstrap_metrics(counts, metrics, draws=50, seed=3).items():
        assert values.tolist() == whole[name].tolist()


def test_draws_of_many_speakers_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """And are the same."""
    values = np.arange(12.0).reshape(12, 1)
    uncertainty._kept_times.cache_clear()
    kept = bootstrap(values, {"mean": lambda block: block}, draws=50)["mean"]
    assert uncertainty._kept_times.cache_info().currsize == 1
    uncertainty._kept_times.cache_clear()
    monkeypatch.setattr(uncertainty, "KEPT_SPEAKERS", 11)
    assert bootstrap(values, {"mean": lambda block: block}, draws=50)["mean"].tolist() == kept.tolist()
    assert uncertainty._kept_times.cache_info().currsize == 0
