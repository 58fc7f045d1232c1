"""Similarity of tasks and of acoustics, and the picture of what transfers, on cases whose values are known."""

import json
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from sertools.errors import UserError
from sertools.evaluation.similarity.acoustics import Sound, frechet_distance
from sertools.evaluation.similarity.picture import gains, said_of, to_text, write_picture
from sertools.evaluation.similarity.ranks import rank_test
from sertools.evaluation.similarity.task import (
    TaskSimilarity,
    correlation_ratio,
    pearson,
    task_similarity,
    told_share,
)
from sertools.partitions.folds import Fold, Folds
from sertools.partitions.target import Target


def folds(labels: dict[str, Any], target: Target) -> Folds:
    names = sorted(labels)
    third = len(names) // 3
    fold = Fold("one", tuple(names[:third]), tuple(names[third : 2 * third]), tuple(names[2 * third :]))
    return Folds("fixed", target, "", True, labels, dict.fromkeys(names, "s"), (fold,), "", ("one",))


def test_tasks_on_common_utterances() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=3000)
    y = 0.6 * x + 0.8 * generator.normal(size=3000)
    one, other = ({f"u{n:04d}": float(v) for n, v in enumerate(values)} for values in (x, -y))
    assert pearson(one, other) == pytest.approx(np.corrcoef(x, -y)[0, 1], abs=1e-12)
    found = task_similarity(folds(one, Target("arousal", "number")), folds(other, Target("dominance", "number")))
    assert (round(found.value, 1), found.how, found.utterances) == (0.6, "correlation", 3000)
    assert np.isnan(pearson(one, {"another": 1.0}))
    classes = {name: "high" if value > 0 else "low" for name, value in one.items()}
    # of a normal number, halves lie sqrt(2 / pi) to each side
    assert correlation_ratio(one, classes) == pytest.approx(np.sqrt(2 / np.pi), abs=0.02)
    mixed = task_similarity(folds(classes, Target("bins", classes=("low", "high"))), folds(one, Target("a", "number")))
    assert mixed.value == correlation_ratio(one, classes)


def test_shared_information() -> None:
    target = {f"u{n}": "ab"[n % 2] for n in range(400)}
    assert told_share(target, target) == 1.0
    # speakers who each say both classes as often tell nothing, one who says a class only tells it
    assert told_share(target, {f"u{n}": f"s{n // 20}" for n in range(400)}) == 0.0
    by_class = {f"u{n}": f"s{n % 4}" for n in range(400)}
    assert told_share(target, by_class) == pytest.approx(1.0, abs=0.01)
    # a channel that errs in one of ten: 1 - H(0.1) / H(0.5)
    noisy = {f"u{n}": target[f"u{n}"] if n % 20 not in (0, 1) else "ab"[(n + 1) % 2] for n in range(400)}
    entropy = -(0.1 * np.log2(0.1) + 0.9 * np.log2(0.9))
    assert told_share(target, noisy) == pytest.approx(1 - entropy, abs=0.01)


def test_tasks_of_other_utterances() -> None:
    emotions = folds(
        {f"u{n}": ("angry", "happy", "sad")[n % 3] for n in range(9)},
        Target("emotion", classes=("angry", "happy", "sad")),
    )
    others = folds({f"v{n}": ("happy", "sad")[n % 2] for n in range(9)}, Target("emotion", classes=("happy", "sad")))
    assert task_similarity(emotions, others) == TaskSimilarity(2 / 3, "classes in common", 0)
    speakers = folds({f"v{n}": "xy"[n % 2] for n in range(9)}, Target("speaker", classes=("x", "y")))
    assert task_similarity(emotions, speakers).value == 0.0


def test_frechet_distance() -> None:
    eye = np.eye(3)
    assert frechet_distance(Sound(np.zeros(3), eye), Sound(np.array([3.0, 4.0, 0.0]), eye)) == pytest.approx(5.0)
    # of standard deviations 1 and 3 in each of three directions
    assert frechet_distance(Sound(np.zeros(3), eye), Sound(np.zeros(3), 9 * eye)) == pytest.approx(2 * np.sqrt(3))
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    wide = turned @ np.diag([1.0, 4.0, 9.0]) @ turned.T
    assert frechet_distance(Sound(np.ones(3), wide), Sound(np.ones(3), wide)) == pytest.approx(0.0, abs=1e-6)


def comparison(*systems: tuple[str, float]) -> dict[str, Any]:
    def one(name: str, value: float) -> dict[str, Any]:
        pooled = {"value": value, "interval": {"low": value - 0.02, "high": value + 0.02}}
        return {"first": "cnn14_random", "second": name,
                "metrics": [{"name": "UA", "pooled": pooled, "permutation_holm": 0.5}]}  # fmt: skip

    return {"comparisons": [one(*system) for system in systems]}


def test_the_picture(tmp_path: Path) -> None:
    table = comparison(("cnn14_a_all", 0.1), ("cnn14_b_all", 0.05), ("cnn14_a_b_all", -0.1), ("cnn14_a_linear", 0.0))
    tasks = {name: TaskSimilarity(value, "information", 9) for name, value in (("a", 0.9), ("b", 0.5), ("a_b", 0.1))}
    metric, reference, found = gains(table, Path("x"), tasks, {"a": 3.0, "b": 2.0, "a_b": 1.0})
    assert (metric, reference) == ("UA", "cnn14_random")
    assert [(one.source, one.system) for one in found] == [
        ("a", "cnn14_a_all"), ("b", "cnn14_b_all"), ("a_b", "cnn14_a_b_all"), ("a", "cnn14_a_linear"),
    ]  # fmt: skip
    assert found[0].value == pytest.approx(10.0)
    # all layers beside the linear ones of a source: no gain over the reference
    pair = {**table["comparisons"][0], "first": "cnn14_a_linear"}
    more = {"comparisons": [*table["comparisons"], pair]}
    assert gains(more, Path("x"), tasks, {"a": 3.0, "b": 2.0, "a_b": 1.0})[2] == found
    text = to_text(metric, reference, found)
    assert "all: rank correlation of gain with similarity of task, 3 sources: +1.00, p 0.333" in text
    assert "all: rank correlation of gain with nearness of acoustics, 3 sources: -1.00, p 0.333" in text
    assert "all: rank correlation of gain with the one less that with the other, 3 sources: +2.00, p 0.333" in text
    assert "linear: rank correlation of gain with similarity of task, 1 sources: cannot be said" in text
    tested = {"corpus": "x-synthetic", "synthetic": True, "speaker_dependent": True}
    said = said_of({"systems": [{"test": tested}] * 2, "remarks": ["TOLD THE WORDS: all of them"]})
    assert [line.split(":")[0] for line in said] == [
        "SYNTHETIC SPEECH (x-synthetic)", "SPEAKER-DEPENDENT", "TOLD THE WORDS",
    ]  # fmt: skip
    files = write_picture(metric, reference, found, [("arousal", "valence", 0.24)], tmp_path, said)
    assert (tmp_path / "transfer.txt").read_text().splitlines()[:3] == said
    assert all((tmp_path / name).stat().st_size for name in files)
    assert json.loads((tmp_path / "transfer.json").read_text())["ratings"][0]["correlation"] == 0.24
    with pytest.raises(UserError, match="has no system from c; its systems are compared with cnn14_random"):
        gains(table, Path("x"), tasks | {"c": tasks["a"]}, dict.fromkeys("abc", 1.0) | {"a_b": 1.0})


def test_ranks_beside_scipy_and_brute_force() -> None:
    gains, tasks, near = [0.5, 2.0, 1.0, -1.0, 4.0], [0.0, 1.0, 0.5, 0.0, 1.0], [3.0, 1.0, 2.0, 5.0, 4.0]
    found = rank_test(gains, tasks, near)
    assert found is not None

    def values(order: Sequence[float]) -> tuple[float, float, float]:
        one, other = (float(spearmanr(order, side)[0]) for side in (tasks, near))
        return one, other, one - other

    assert (found.task, found.acoustics, found.difference) == pytest.approx(values(gains))
    every = np.abs([values(order) for order in permutations(gains)])
    expected = (every >= np.abs(values(gains)) - 1e-9).mean(axis=0)
    assert (found.p_task, found.p_acoustics, found.p_difference) == pytest.approx(expected.tolist())
    # too few, or nothing that varies
    assert rank_test([1.0, 2.0], [1.0, 2.0], [1.0, 2.0]) is None
    assert rank_test([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) is None
    # of many sources random orders, the same ones each time
    many = [float(n) for n in range(12)]
    drawn = rank_test(many, many, many[::-1])
    assert drawn == rank_test(many, many, many[::-1])
    assert drawn is not None
    assert drawn.p_task < 0.001
