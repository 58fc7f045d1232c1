"""Composition of H with LG, in numpy.

Simpler than that of any two transducers (Mohri, Pereira and Riley, 2002, Computer Speech and
Language): no input is an epsilon, so a state of the result is a pair of states and no filter is needed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order

from sertools.decoding.transducers import FINAL, Transducer

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

END = -1  # the target of final arcs, until states have their numbers


def compose(units: Transducer, words: Transducer) -> Transducer:
    """What ``units`` makes of pdfs and ``words`` makes of that; every state lies on a path to the end.

    Args:
        units: H, from pdfs to phones; outputs may be epsilon (0), and no state has two arcs with the
            same other output.
        words: LG, from phones to words, free of input epsilons.

    Returns:
        from pdfs to words; states are numbered by that of ``units``, then that of ``words``.

    Raises:
        ValueError: two arcs of a state of ``units`` put out the same phone, or no path is left.
    """
    upper, lower = _Arcs.of(units), _Arcs.of(words)
    silent = upper.where(upper.outputs == 0)
    upper_end, lower_end = _final_scores(units), _final_scores(words)
    speaking = _by_phone(upper, int(lower.labels.max(initial=0)))
    # a pair of states is one number, that of the start 0; arcs are source, target, label, output
    pairs = seen = np.zeros(1, np.int64)
    found: list[Ints] = []
    scores: list[Floats] = []
    while len(pairs):
        first, second = pairs // words.num_states, pairs % words.num_states
        owners, arcs = silent.leaving(first)
        stay = silent.targets[arcs] * words.num_states + second[owners]
        found.append(np.stack([pairs[owners], stay, silent.labels[arcs], 0 * stay]))
        scores.append(silent.scores[arcs])
        owners, arcs = lower.leaving(second)
        above = speaking[first[owners], lower.labels[arcs]]
        owners, arcs, above = owners[above >= 0], arcs[above >= 0], above[above >= 0]
        onward = upper.targets[above] * words.num_states + lower.targets[arcs]
        found.append(np.stack([pairs[owners], onward, upper.labels[above], lower.outputs[arcs]]))
        scores.append(upper.scores[above] + lower.scores[arcs])
        end = upper_end[first] + lower_end[second]
        last = pairs[end > -np.inf]
        found.append(np.stack([last, np.full_like(last, END), np.full_like(last, FINAL), np.full_like(last, FINAL)]))
        scores.append(end[end > -np.inf])
        pairs = np.setdiff1d(np.concatenate([stay, onward]), seen)
        seen = np.union1d(seen, pairs)
    return _connect(seen, np.concatenate(found, axis=1), np.concatenate(scores))


@dataclass(frozen=True)
class _Arcs:
    """Arcs by source, but for final ones; those of state s are ``splits[s]`` to ``splits[s + 1]``."""

    columns: Ints
    scores: Floats
    splits: Ints

    @classmethod
    def of(cls, transducer: Transducer) -> "_Arcs":
        inner = transducer.arcs[:, 2] != FINAL
        columns = transducer.arcs[inner].astype(np.int64).T
        splits = np.searchsorted(columns[0], np.arange(transducer.num_states + 1))
        return cls(columns, transducer.scores[inner], splits)

    @property
    def sources(self) -> Ints:
        return self.columns[0]

    @property
    def targets(self) -> Ints:
        return self.columns[1]

    @property
    def labels(self) -> Ints:
        return self.columns[2]

    @property
    def outputs(self) -> Ints:
        return self.columns[3]

    def where(self, kept: NDArray[np.bool_]) -> "_Arcs":
        before = np.concatenate([[0], np.cumsum(kept)])
        return _Arcs(self.columns[:, kept], self.scores[kept], before[self.splits])

    def leaving(self, states: Ints) -> tuple[Ints, Ints]:
        """The arcs that leave each of ``states``: (places in ``states``, arcs)."""
        counts = self.splits[states + 1] - self.splits[states]
        owners = np.repeat(np.arange(len(states)), counts)
        within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        return owners, self.splits[states][owners] + within


def _by_phone(arcs: _Arcs, num_phones: int) -> Ints:
    """(states, phones + 1): the arc of a state that puts out a phone, or -1."""
    spoken = np.flatnonzero((arcs.outputs > 0) & (arcs.outputs <= num_phones))
    table = np.full((len(arcs.splits) - 1, num_phones + 1), -1)
    places = arcs.sources[spoken], arcs.outputs[spoken]
    table[places] = spoken
    if not np.array_equal(table[places], spoken):
        raise ValueError("two arcs of a state put out the same phone")
    return table


def _final_scores(transducer: Transducer) -> Floats:
    """(states,): the best score with which a path may end there, or -inf."""
    scores = np.full(transducer.num_states, -np.inf, np.float32)
    final = transducer.arcs[:, 2] == FINAL
    np.maximum.at(scores, transducer.arcs[final, 0], transducer.scores[final])
    return scores


def _connect(pairs: Ints, columns: Ints, scores: Floats) -> Transducer:
    """Number the states that lead to the end, and drop the others; ``pairs`` are all states, sorted."""
    end = len(pairs)
    sources = np.searchsorted(pairs, columns[0])
    targets = np.where(columns[1] == END, end, np.searchsorted(pairs, columns[1]))
    backward = csr_matrix((np.ones(len(sources), np.int8), (targets, sources)), shape=(end + 1, end + 1))
    kept = np.sort(breadth_first_order(backward, end, return_predecessors=False))
    if kept[0] != 0:
        raise ValueError("no path leads from the start to the end")
    number = np.full(end + 1, -1, np.int64)
    number[kept] = np.arange(len(kept))
    inner = (number[sources] >= 0) & (number[targets] >= 0)
    renumbered = np.stack([number[sources], number[targets], columns[2], columns[3]], axis=1)
    arcs, scores = renumbered[inner].astype(np.int32), scores[inner]
    order = np.lexsort((arcs[:, 1], arcs[:, 3], arcs[:, 2], arcs[:, 0]))
    return Transducer(arcs[order], scores[order], len(kept))
