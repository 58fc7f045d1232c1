"""Composition of transducers, against following every path."""

import numpy as np
import pytest

from sertools.decoding.composition import compose
from sertools.decoding.transducers import Builder, Transducer

Said = tuple[tuple[int, ...], tuple[int, ...]]


def paths(transducer: Transducer, length: int) -> dict[Said, float]:
    """(labels, outputs without epsilons) of all paths with at most so many labels, and the best score of each."""
    found: dict[Said, float] = {}
    open_ends: list[tuple[int, Said, float]] = [(0, ((), ()), 0.0)]
    while open_ends:
        state, (labels, outputs), score = open_ends.pop()
        for (source, target, label, output), weight in zip(
            transducer.arcs.tolist(), transducer.scores.tolist(), strict=True
        ):
            if source != state:
                continue
            if label == -1:
                found[labels, outputs] = max(score + weight, found.get((labels, outputs), -np.inf))
            elif len(labels) < length:
                said = (*labels, label), (*outputs, output) if output else outputs
                open_ends.append((target, said, score + weight))
    return found


def units() -> Transducer:
    """Two pdfs a phone: the first puts it out, the second repeats."""
    builder = Builder()
    start, inside = builder.state(), [builder.state() for _ in range(2)]
    for phone, state in enumerate(inside, start=1):
        builder.arc(state, state, 2 * phone - 1, 0, -0.1 * phone)
    for source in (start, *inside):
        for phone, state in enumerate(inside, start=1):
            builder.arc(source, state, 2 * phone - 2, phone, -0.01 * source)
        builder.final(source, -0.5)
    return builder.build()


def words() -> Transducer:
    """1 2 is the word 7, 1 is 8, also at another price; a dead end."""
    builder = Builder()
    start, half, dead = (builder.state() for _ in range(3))
    builder.arc(start, half, 1, 0, -1.0)
    builder.arc(half, start, 2, 7, -2.0)
    builder.arc(start, start, 1, 8, -3.0)
    builder.arc(start, start, 1, 8, -4.0)
    builder.arc(half, dead, 1, 9, 0.0)
    builder.final(start, -5.0)
    return builder.build()


def test_paths_are_those_of_both() -> None:
    composed = compose(units(), words())
    expected: dict[Said, float] = {}
    grammar = paths(words(), 4)
    for (pdfs, phones), score in paths(units(), 4).items():
        for (labels, outputs), weight in grammar.items():
            if labels == phones:
                expected[pdfs, outputs] = max(score + weight, expected.get((pdfs, outputs), -np.inf))
    found = paths(composed, 4)
    assert len(found) > 10
    assert found.keys() == expected.keys()
    assert [found[said] for said in found] == pytest.approx([expected[said] for said in found])


def test_states_are_whole_and_in_order() -> None:
    composed = compose(units(), words())
    assert 9 not in composed.arcs[:, 3]  # the dead end
    states = set(composed.arcs[:, :2].ravel().tolist())
    assert states == set(range(composed.num_states))
    assert (composed.arcs[composed.arcs[:, 2] == -1, 1] == composed.num_states - 1).all()
    order = np.lexsort((composed.arcs[:, 1], composed.arcs[:, 3], composed.arcs[:, 2], composed.arcs[:, 0]))
    assert (order == np.arange(len(order))).all()


def test_what_cannot_be_composed_is_refused() -> None:
    builder = Builder()
    start = builder.state()
    builder.arc(start, start, 0, 1)
    builder.arc(start, start, 1, 1)
    builder.final(start)
    with pytest.raises(ValueError, match="two arcs of a state put out the same phone"):
        compose(builder.build(), words())
    builder = Builder()
    start = builder.state()
    builder.arc(start, start, 0, 2)
    builder.final(start)
    only_two = Builder()
    first, second = only_two.state(), only_two.state()
    only_two.arc(first, second, 1, 5)
    only_two.final(second)
    with pytest.raises(ValueError, match="no path"):
        compose(builder.build(), only_two.build())
