"""Votes of raters against probabilities."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from sertools.errors import UserError
from sertools.runs.extras.raters import Raters, jensen_shannon, kullback_leibler
from sertools.runs.predictions import make_predictions


def test_divergences_are_those_of_scipy() -> None:
    generator = np.random.default_rng(0)
    p, q = generator.dirichlet(np.ones(4), 20), generator.dirichlet(np.ones(4), 20)
    p[0] = [1, 0, 0, 0]
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2, axis=1) ** 2)
    assert kullback_leibler(p, q) == pytest.approx(entropy(p, q, axis=1))


def test_the_table(tmp_path: Path) -> None:
    table = make_predictions(
        ("a", "b"), utterances=["1", "2", "3"], speakers=["p", "q", "q"], corpora="c", parts="test", folds="f", seeds=1,
        labels=["a", "b", "b"], outputs=[[0.75, 0.25], [0.5, 0.5], [0.1, 0.9]],
    )  # fmt: skip
    (tmp_path / "votes.csv").write_text("utterance,v_a,v_b\n1,3,1\n2,1,1\n")
    extra = Raters().read({}, table, tmp_path)
    assert extra is not None
    assert extra.values["this system"] == {"jensen_shannon": pytest.approx(0), "kullback_leibler": pytest.approx(0)}
    chance = jensenshannon([0.75, 0.25], [0.5, 0.5], base=2) ** 2 / 2
    assert extra.values["chance: all classes alike"]["jensen_shannon"] == pytest.approx(chance)
    assert "1 tested utterances have no vote" in extra.caption
    for text, message in (
        ("utterance,v_a\n1,1\n", "not for a, b"),
        ("utterance,v_a,v_b\n1,0,0\n", "line 2: votes must"),
    ):
        (tmp_path / "votes.csv").write_text(text)
        with pytest.raises(UserError, match=message):
            Raters().read({}, table, tmp_path)
