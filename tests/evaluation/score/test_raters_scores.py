"""Tables with raters' votes: written and read, scored with intervals, compared, and with tables that lack them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from sertools.errors import UserError
from sertools.evaluation.compare.comparison import compare
from sertools.evaluation.compare.pairing import System
from sertools.evaluation.compare.tables import to_markdown, votes_table
from sertools.evaluation.score.baselines import baselines
from sertools.evaluation.score.results import score
from sertools.evaluation.score.tables import to_text
from sertools.evaluation.stats.divergence import jensen_shannon, kullback_leibler
from sertools.runs.predictions import Predictions, make_predictions, read_predictions, write_predictions


def table(sharpness: float) -> Predictions:
    """Predictions of 12 utterances of 4 speakers, near the votes or far from them."""
    generator = np.random.default_rng(3)
    shares = generator.dirichlet((1, 1), 12)
    outputs = (1 - sharpness) * 0.5 + sharpness * shares
    return make_predictions(
        ("a", "b"), utterances=[f"u{n}" for n in range(12)], speakers=[f"s{n % 4}" for n in range(12)], corpora="c",
        parts="test", folds=[f"f{n % 2}" for n in range(12)], seeds=1, labels=[("a", "b")[k] for k in shares.argmax(1)],
        outputs=outputs, shares=shares,
    )  # fmt: skip


def test_a_table_comes_back(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", table(0.5))
    assert (
        (tmp_path / "p.csv")
        .read_text()
        .startswith("utterance,speaker,corpus,part,repetition,fold,seed,label,r_a,r_b,p_a,p_b\n")
    )
    found = read_predictions(tmp_path / "p.csv")
    assert found.shares is not None
    order = [found.utterances.tolist().index(name) for name in table(0.5).utterances.tolist()]
    np.testing.assert_allclose(found.shares[order], table(0.5).shares, atol=1e-8)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.outputs[order], table(0.5).outputs, atol=1e-8)
    plain = dataclasses.replace(table(0.5), shares=None, folds=np.array(["g"] * 12))
    write_predictions(tmp_path / "q.csv", plain)
    with pytest.raises(UserError, match="only one has the raters' votes"):
        read_predictions([tmp_path / "p.csv", tmp_path / "q.csv"])
    text = (tmp_path / "p.csv").read_text().replace("r_a,r_b", "r_b,r_a")
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(UserError, match="must be r_<class> of the classes of p_<class>, in order"):
        read_predictions(tmp_path / "p.csv")


def test_scores_have_divergences_with_intervals() -> None:
    one = table(0.5)
    results = score(one)
    assert one.shares is not None
    assert [metric.name for metric in results.metrics] == ["UA", "WA", "macro-F1", "JSD", "KLD"]
    js, kl = results.of("JSD"), results.of("KLD")
    assert js.pooled.value == pytest.approx(jensen_shannon(one.shares, one.outputs).mean())
    assert kl.pooled.value == pytest.approx(kullback_leibler(one.shares, one.outputs).mean())
    assert js.chance == pytest.approx(jensen_shannon(one.shares, np.full((12, 2), 0.5)).mean())
    assert js.pooled.interval is not None
    assert js.pooled.interval.low < js.pooled.value < js.pooled.interval.high
    chance, frequent, mean = baselines(results)
    assert chance.values["JSD"] == js.chance
    assert "JSD" not in frequent.values
    constant = one.shares.mean(0)
    everywhere = np.tile(constant, (12, 1))
    assert mean.name == "mean of the raters' votes"
    assert mean.values["JSD"] == pytest.approx(jensen_shannon(one.shares, everywhere).mean())
    assert mean.values["KLD"] == pytest.approx(kullback_leibler(one.shares, everywhere).mean())
    assert (mean.values["UA"], mean.values["WA"]) == (0.5, pytest.approx(np.mean(one.labels == constant.argmax())))
    # no other distribution for all is nearer
    assert all(
        kullback_leibler(one.shares, np.tile([p, 1 - p], (12, 1))).mean() >= mean.values["KLD"]
        for p in np.linspace(0.01, 0.99, 99)
    )
    assert len(baselines(score(dataclasses.replace(one, shares=None)))) == 2
    text = to_text(results)
    assert "JSD" in text
    assert "JSD" not in [metric.name for metric in score(dataclasses.replace(one, shares=None)).metrics]


def test_the_nearer_system_is_found() -> None:
    near, far = System("near", table(0.9)), System("far", table(0.1))
    compared = compare([far, near])
    difference = compared.comparisons[0].of("JSD")
    assert [row[:2] for row in votes_table(compared)[1]] == [["near − far", "JSD"], ["near − far", "KLD"]]
    assert "from the raters" in to_markdown(compared)
    assert difference.pooled.value < 0
    assert difference.pooled.interval.high < 0
    without = System("old", dataclasses.replace(table(0.1), shares=None))
    mixed = compare([without, near])
    assert [found.name for found in mixed.comparisons[0].metrics] == ["UA", "WA", "macro-F1"]
    assert "predictions of old lack the raters' votes" in mixed.remarks[0]
