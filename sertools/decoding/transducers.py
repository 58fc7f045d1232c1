"""Transducers as lists of arcs, and the topology H as one.

Conventions are k2's: states from 0, which is the start; the last state is the only final one, and
arcs into it have the label -1.  Labels of H are pdfs from 0 (pdf 0 is a pdf, not epsilon); phones
and words are ids from 1, and 0 as an output is epsilon.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sertools.lfmmi.topology import Topology

FINAL = -1


@dataclass(frozen=True)
class Transducer:
    """Arcs, sorted by source.

    Attributes:
        arcs: (A, 4) int32: source, target, input label, output label.
        scores: (A,) float32, natural logarithms.
        num_states: the last of them is final.
    """

    arcs: NDArray[np.int32]
    scores: NDArray[np.float32]
    num_states: int


class Builder:
    """Collects arcs; the final state gets its number in the end."""

    def __init__(self) -> None:
        self._arcs: list[tuple[int, int, int, int]] = []
        self._scores: list[float] = []
        self._num_states = 0

    def state(self) -> int:
        """A new state."""
        self._num_states += 1
        return self._num_states - 1

    def arc(self, source: int, target: int, label: int, output: int, score: float = 0.0) -> None:
        """A new arc."""
        self._arcs.append((source, target, label, output))
        self._scores.append(score)

    def final(self, source: int, score: float = 0.0) -> None:
        """Let paths end in ``source``."""
        self.arc(source, -1, FINAL, FINAL, score)

    def build(self) -> Transducer:
        """All of it."""
        arcs = np.array(self._arcs, dtype=np.int32).reshape(-1, 4)
        arcs[arcs[:, 1] == -1, 1] = self._num_states
        order = np.lexsort((arcs[:, 1], arcs[:, 3], arcs[:, 2], arcs[:, 0]))
        return Transducer(arcs[order], np.array(self._scores, dtype=np.float32)[order], self._num_states + 1)


def make_topology(topology: Topology) -> Transducer:
    """H: pdfs to phones, all scores 0 (see sertools.lfmmi.topology).

    A phone is put out at its first frame.  A state is a phone that was begun, after its left
    neighbour where the pdfs depend on it; with ``ctc`` there is also one for the blank after it.
    """
    phones = range(1, topology.num_phones + 1)
    biphone = topology.config.context == "biphone"
    builder = Builder()
    start = builder.state()
    inside = {(left, phone): builder.state() for left in ([0, *phones] if biphone else [0]) for phone in phones}
    # what may be followed by a new phone: (state, left neighbour of that phone)
    resting = [(start, 0)] + [(state, phone) for (_, phone), state in inside.items()]
    if topology.blank is not None:
        blanks = {phone: builder.state() for phone in phones}
        builder.arc(start, start, topology.blank, 0)
        for (_, phone), state in inside.items():
            builder.arc(state, blanks[phone], topology.blank, 0)
        for blank in blanks.values():
            builder.arc(blank, blank, topology.blank, 0)
        resting += [(blank, phone) for phone, blank in blanks.items()]
    own = {state: topology.repeat(phone, left) for (left, phone), state in inside.items()}
    for (left, phone), state in inside.items():
        builder.arc(state, state, topology.repeat(phone, left), 0)
    for state, left in resting:
        for phone in phones:
            pdf = topology.first(phone, left)
            if topology.blank is not None and own.get(state) == pdf:
                continue  # two equal pdfs need a blank between them
            builder.arc(state, inside[left if biphone else 0, phone], pdf, phone)
        builder.final(state)
    return builder.build()
