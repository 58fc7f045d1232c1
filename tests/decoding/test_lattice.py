"""Lattices: best path, n-best, posteriors and confidence against all paths; files."""

import math
from pathlib import Path

import numpy as np
import pytest

from sertools.decoding.lattice import (
    Lattice,
    best_path,
    confidences,
    load_lattices,
    n_best,
    posteriors,
    prune,
    save_lattices,
)

EMPTY = Lattice(*(np.zeros(0, dtype) for dtype in ("i4", "i4", "i4", "f4", "f4", "i4")), np.zeros(1, "i4"))


def random_lattice(seed: int, frames: int = 4, width: int = 3, words: int = 3) -> Lattice:
    """States of all frames joined to those of the next; arcs put out no, one or two words."""
    generator = np.random.default_rng(seed)
    layers = [[0]]
    for _ in range(frames - 1):
        layers.append(list(range(layers[-1][-1] + 1, layers[-1][-1] + 1 + width)))
    layers.append([layers[-1][-1] + 1])
    arcs = [(s, t, n) for n in range(frames) for s in layers[n] for t in layers[n + 1]]
    arcs.append((layers[-1][0], layers[-1][0] + 1, frames))  # the arc to the end
    outputs = [[int(w) for w in generator.integers(1, words + 1, size=generator.choice([0, 1, 1, 2]))] for _ in arcs]
    outputs[-1] = []
    columns = np.array(arcs, dtype=np.int32).T
    return Lattice(
        columns[0], columns[1], columns[2],
        generator.normal(size=len(arcs)).astype(np.float32),
        generator.normal(size=len(arcs)).astype(np.float32),
        np.array([word for output in outputs for word in output], dtype=np.int32),
        np.cumsum([0, *map(len, outputs)]).astype(np.int32),
    )  # fmt: skip


def all_paths(lattice: Lattice, scale: float) -> list[tuple[list[int], float]]:
    """Arcs and score of every path."""
    scores = lattice.acoustic.astype(float) + scale * lattice.graph.astype(float)
    paths: list[tuple[list[int], float]] = []

    def walk(state: int, arcs: list[int], score: float) -> None:
        if state == lattice.num_states - 1:
            paths.append((arcs, score))
        for arc in np.flatnonzero(lattice.sources == state):
            walk(int(lattice.targets[arc]), [*arcs, int(arc)], score + scores[arc])

    walk(0, [], 0.0)
    return paths


def words_of(lattice: Lattice, arcs: list[int]) -> tuple[int, ...]:
    return tuple(word for arc in arcs for word in lattice.output(arc))


@pytest.mark.parametrize("seed", range(5))
def test_pruning_keeps_the_arcs_of_good_paths(seed: int) -> None:
    lattice, beam = random_lattice(seed), 2.0
    paths = all_paths(lattice, 1.3)
    best = max(score for _, score in paths)
    kept = sorted({arc for arcs, score in paths if score >= best - beam for arc in arcs})
    pruned = prune(lattice, 1.3, beam)
    assert 5 < len(kept) < len(lattice.sources)
    assert [pruned.output(n) for n in range(len(pruned.sources))] == [lattice.output(arc) for arc in kept]
    assert pruned.scores(1.3).tolist() == lattice.scores(1.3)[kept].tolist()
    good = [(words, score) for words, score in n_best(lattice, 1.3, 100) if score >= best - beam]
    assert n_best(pruned, 1.3, len(good)) == good
    assert prune(EMPTY, 1.0, beam) is EMPTY


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [0.5, 1.7])
def test_best_path_and_n_best(seed: int, scale: float) -> None:
    lattice = random_lattice(seed)
    paths = all_paths(lattice, scale)
    arcs, score = max(paths, key=lambda path: path[1])
    best = best_path(lattice, scale)
    assert best.words == words_of(lattice, arcs)
    assert best.score == pytest.approx(score)
    assert best.frames == tuple(int(lattice.frames[arc]) for arc in arcs for _ in lattice.output(arc))
    by_words: dict[tuple[int, ...], float] = {}
    for arcs, score in paths:
        words = words_of(lattice, arcs)
        by_words[words] = max(score, by_words.get(words, -math.inf))
    expected = sorted(by_words.items(), key=lambda item: -item[1])[:6]
    found = n_best(lattice, scale, 6)
    assert [words for words, _ in found] == [words for words, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected])


@pytest.mark.parametrize("seed", range(5))
def test_posteriors_and_confidence(seed: int) -> None:
    lattice = random_lattice(seed)
    paths = all_paths(lattice, 0.8)
    weights = np.exp([0.5 * score for _, score in paths])
    weights /= weights.sum()
    expected = np.zeros(len(lattice.sources))
    for (arcs, _), weight in zip(paths, weights, strict=True):
        expected[arcs] += weight
    found = posteriors(lattice, 0.8, 0.5)
    assert found == pytest.approx(expected)
    path = best_path(lattice, 0.8)
    sure = confidences(lattice, path, 0.8, 0.5)
    assert len(sure) == len(path.words)
    for number, (word, start) in enumerate(zip(path.words, path.frames, strict=True)):
        total = 0.0
        for arc in range(len(lattice.sources)):
            middle = [
                (other + start) / 2
                for other in (path.frames[number - 1] if number else -1e9, (*path.frames, 1e9)[number + 1])
            ]
            if middle[0] <= lattice.frames[arc] <= middle[1]:
                total += expected[arc] * lattice.output(arc).count(word)
        assert sure[number] == pytest.approx(min(1.0, total))


def test_a_lattice_of_one_path_is_sure() -> None:
    lattice = random_lattice(1, width=1)
    path = best_path(lattice, 1.0)
    assert path.words
    assert confidences(lattice, path, 1.0) == pytest.approx([1.0] * len(path.words))


def test_empty_lattice_has_no_words() -> None:
    assert best_path(EMPTY, 1.0).words == ()
    assert n_best(EMPTY, 1.0, 3) == []
    assert confidences(EMPTY, best_path(EMPTY, 1.0), 1.0) == ()


def test_lattices_survive_a_file(tmp_path: Path) -> None:
    lattices = {"b/1": random_lattice(1), "a": random_lattice(2), "empty": EMPTY}
    save_lattices(list(lattices.items()), tmp_path / "lattices.safetensors")
    again = load_lattices(tmp_path / "lattices.safetensors")
    assert list(again) == ["a", "b/1", "empty"]
    for name, lattice in lattices.items():
        for field in Lattice.__dataclass_fields__:
            assert np.array_equal(getattr(again[name], field), getattr(lattice, field)), (name, field)
