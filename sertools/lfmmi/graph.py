"""Acceptors over phones and over pdfs, and the way from the first to the second."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sertools.lfmmi.topology import Topology

Arc = tuple[int, int, float, int]  # source state, phone, log prob, target state


@dataclass(frozen=True)
class Graph:
    """An epsilon-free acceptor over pdfs, in other words a hidden Markov model with emitting arcs.

    A path starts in a state with ``initial``, consumes one frame an arc, and ends in a state with
    ``final``.  All tensors are on the CPU.

    Attributes:
        num_states: S.
        sources, targets, pdfs: of each arc; (A,) int64.
        log_probs: of each arc; (A,) float32, natural logarithm.
        initial, final: log-probs of states, -inf where a path cannot start or end; (S,) float32.
    """

    num_states: int
    sources: Tensor
    targets: Tensor
    pdfs: Tensor
    log_probs: Tensor
    initial: Tensor
    final: Tensor

    @property
    def num_arcs(self) -> int:
        """A."""
        return len(self.sources)


@dataclass(frozen=True, eq=False)
class PhoneAcceptor:
    """An epsilon-free acceptor over phones with one start state.

    Attributes:
        num_states: states are 0 to ``num_states`` - 1.
        start: the start state.
        arcs: (source, phone, log prob, target), sorted.
        final: log-prob of ending in a state; states that are absent are not final.
    """

    num_states: int
    start: int
    arcs: tuple[Arc, ...]
    final: dict[int, float]

    def leaving(self) -> list[list[tuple[int, float, int]]]:
        """For every state its arcs (phone, log prob, target)."""
        lists: list[list[tuple[int, float, int]]] = [[] for _ in range(self.num_states)]
        for source, phone, log_prob, target in self.arcs:
            lists[source].append((phone, log_prob, target))
        return lists


@dataclass(frozen=True)
class _Place:
    """A state of the HMM: where in the acceptor, in which phone (0: none), after which."""

    state: int
    phone: int
    left: int
    blank: bool


def expand(acceptor: PhoneAcceptor, topology: Topology) -> tuple[Graph, list[int]]:
    """The HMM of a phone acceptor.

    One state for each acceptor state, phone that led there and, for biphones, phone before it.
    All arcs into a state have the same pdf, but for the loop of the ``chain`` topology, which has
    the pdf of repeats.  ``ctc`` has a further state for the blanks after a phone.

    Returns:
        The graph, whose state 0 is the start, before any frame, and, for every state of the
        graph, the state of the acceptor.  ``initial`` is zero (log-prob) at state 0 only;
        ``final`` is what the acceptor says.
    """
    biphone = topology.config.context == "biphone"
    blank = topology.blank
    leaving = acceptor.leaving()
    start = _Place(acceptor.start, 0, 0, blank is not None)
    places = {start: 0}
    queue = [start]
    arcs: list[tuple[int, int, int, float]] = []

    def arc(source: int, place: _Place, pdf: int, log_prob: float) -> None:
        if place not in places:
            places[place] = len(places)
            queue.append(place)
        arcs.append((source, places[place], pdf, log_prob))

    for place in queue:  # grows while we walk
        here = places[place]
        own = -1  # the pdf that cannot follow without a blank
        if blank is not None and place.blank:
            arc(here, place, blank, 0.0)
        elif place.phone:
            loop = topology.repeat(place.phone, place.left)
            arc(here, place, loop, 0.0)
            if blank is not None:
                own = loop
                arc(here, _Place(place.state, place.phone if biphone else 0, 0, True), blank, 0.0)
        for phone, log_prob, target in leaving[place.state]:
            left = place.phone if biphone else 0
            pdf = topology.first(phone, left)
            if pdf != own:
                arc(here, _Place(target, phone, left, False), pdf, log_prob)
    of_acceptor = [place.state for place in places]
    arcs.sort()
    table = torch.tensor([a[:3] for a in arcs], dtype=torch.int64).reshape(-1, 3)
    initial = torch.full((len(places),), -torch.inf)
    initial[0] = 0.0
    final = torch.tensor([acceptor.final.get(state, -torch.inf) for state in of_acceptor], dtype=torch.float32)
    log_probs = torch.tensor([a[3] for a in arcs], dtype=torch.float32)
    columns = [column.contiguous() for column in table.unbind(1)]
    return Graph(len(places), columns[0], columns[1], columns[2], log_probs, initial, final), of_acceptor
