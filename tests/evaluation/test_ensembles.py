"""Weights of ensembles against a search, and what cannot be combined."""

from dataclasses import replace

import numpy as np
import pytest

from sertools.errors import UserError
from sertools.evaluation.ensembles import class_shares, combine, mixture_weights
from sertools.runs.predictions import Predictions, make_predictions


def table(noise: float, seed: int, seeds: int = 1) -> Predictions:
    generator = np.random.default_rng(seed)
    rows = [
        (fold, part, n, k) for k in range(1, seeds + 1) for fold in "ab" for part in ("dev", "test") for n in range(24)
    ]
    labels = [n % 3 for *_, n, _ in rows]
    scores = 2 * np.eye(3)[labels] + noise * generator.normal(size=(len(rows), 3))
    shares = np.exp(scores)
    other = {"a": "b", "b": "a"}
    names = [f"{fold if part == 'test' else other[fold]}{n}" for fold, part, n, _ in rows]
    return make_predictions(
        ("x", "y", "z"), utterances=names, speakers=[name[:2] for name in names], corpora="toy",
        parts=[part for _, part, _, _ in rows], folds=[fold for fold, *_ in rows], seeds=[k for *_, k in rows],
        labels=["xyz"[label] for label in labels], outputs=shares / shares.sum(axis=1, keepdims=True),
    )  # fmt: skip


def test_weights_are_those_of_a_search() -> None:
    one, other = table(1.0, 0), table(2.0, 1)
    labels = one.labels
    for shares in (None, class_shares(np.where(labels == 0, 0, labels))):
        weights = mixture_weights(np.stack([one.outputs, other.outputs]), labels, shares)
        of = np.ones(len(labels)) if shares is None else shares

        def mean(w: float, of: np.ndarray = of) -> float:
            mixed = w * one.outputs + (1 - w) * other.outputs
            return float((of * np.log(mixed[np.arange(len(labels)), labels])).sum() / of.sum())

        best = max(np.linspace(0, 1, 1001), key=mean)
        assert weights.sum() == pytest.approx(1)
        assert weights[0] == pytest.approx(best, abs=2e-3)


def test_what_is_combined() -> None:
    one, other = table(1.0, 0), table(3.0, 1)
    # the order of rows does not matter
    shuffled = other.rows(np.random.default_rng(0).permutation(len(other)))
    found = combine({"one": one, "other": shuffled})
    assert set(found.weights) == {("a", 1), ("b", 1)}
    row = int(np.flatnonzero((found.table.folds == "a") & (found.table.utterances == "a5"))[0])
    weights = found.weights["a", 1]
    pick = [t.outputs[(t.folds == "a") & (t.utterances == "a5")][0] for t in (one, other)]
    assert found.table.outputs[row] == pytest.approx(weights[0] * pick[0] + weights[1] * pick[1])
    # test rows do not choose: other test outputs give the same weights
    changed = replace(one, outputs=np.where((one.parts == "test")[:, None], 1 / 3, one.outputs))
    assert combine({"one": changed, "other": other}).weights == found.weights
    equal = combine({"one": one, "other": other}, "equal")
    assert set(equal.weights.values()) == {(0.5, 0.5)}


def test_seeds_as_one() -> None:
    three = table(2.0, 5, seeds=3)
    found = combine({"one": three}, seeds_as_one=True)
    assert set(found.table.seeds.tolist()) == {1}
    mean = three.outputs[(three.folds == "b") & (three.utterances == "b7")].mean(axis=0)
    row = (found.table.folds == "b") & (found.table.utterances == "b7")
    assert found.table.outputs[row][0] == pytest.approx(mean)
    lacking = three.rows(~((three.seeds == 3) & (three.folds == "a")))
    with pytest.raises(UserError, match="some seeds lack folds"):
        combine({"one": lacking}, seeds_as_one=True)


def test_what_cannot_be_combined() -> None:
    one = table(1.0, 0)
    with pytest.raises(UserError, match="at least two systems"):
        combine({"one": one})
    with pytest.raises(UserError, match="seeds"):
        combine({"one": one, "two": table(1.0, 1, seeds=2)})
    with pytest.raises(UserError, match="no dev rows to fit weights on"):
        combine({"one": one.select(part="test"), "two": table(1.0, 1).select(part="test")})
