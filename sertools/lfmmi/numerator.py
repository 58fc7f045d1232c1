"""Numerator graphs: all ways to say a transcript."""

import math
from collections.abc import Sequence
from dataclasses import replace

from sertools.lfmmi.denominator import make_denominator
from sertools.lfmmi.graph import Arc, Graph, PhoneAcceptor, expand
from sertools.lfmmi.phone_lm import PhoneLm
from sertools.lfmmi.topology import Topology

Pronunciation = tuple[Sequence[int], float]


def make_numerator(
    words: Sequence[Sequence[Pronunciation]],
    silence: int | None,
    silence_prob: float,
    topology: Topology,
    lm: PhoneLm,
) -> Graph | None:
    """All pronunciations of all words, silence at will before, between and after, weighted by the phone LM.

    Every path of a numerator is a path of ``make_denominator(lm, topology)`` with the same
    weight, times the pronunciation and silence probabilities: it starts in the start state with
    that state's initial probability (a whole utterance begins at its start), and ends with
    probability one, as all paths of the denominator do.  So, as long as the weights of a word's
    pronunciations sum to at most one, numerator <= denominator without leaky HMM.

    Args:
        words: for each word its pronunciations, each (phones from 1, log prob).
        silence: the phone of optional silence; None for none.
        silence_prob: probability of a silence at each place.
        topology: pdfs of phones.
        lm: the phone language model of the denominator.

    Returns:
        The graph; None where the language model allows no path (a phone sequence never seen).

    Raises:
        ValueError: a word has no pronunciation, a pronunciation no phone or a phone out of range,
            or ``silence_prob`` is no probability.
    """
    lattice = _lattice(words, silence, silence_prob, topology.num_phones)
    composed = _compose(lattice, lm)
    if composed is None:
        return None
    graph, _ = expand(composed, topology)
    start = float(make_denominator(lm, topology).initial[0])
    return replace(graph, initial=graph.initial + start)


def make_transcript_graph(
    words: Sequence[Sequence[Pronunciation]], silence: int | None, silence_prob: float, topology: Topology
) -> Graph | None:
    """As :func:`make_numerator`, without a phone language model: what CTC sums over, pronunciations included.

    Args:
        words, silence, silence_prob, topology: see there; CTC needs no silence, having its blank.

    Returns:
        The graph; None where there are no words.
    """
    if not words:
        return None
    graph, _ = expand(_lattice(words, silence, silence_prob, topology.num_phones), topology)
    return graph


def _lattice(
    words: Sequence[Sequence[Pronunciation]], silence: int | None, silence_prob: float, num_phones: int
) -> PhoneAcceptor:
    """The transcript as an acceptor over phones, without epsilons."""
    if silence is not None and not 0 <= silence_prob <= 1:
        raise ValueError(f"silence_prob must be from 0 to 1, not {silence_prob}")
    with_silence = silence is not None and silence_prob > 0
    skip = 0.0 if silence is None else math.log1p(-silence_prob) if silence_prob < 1 else -math.inf
    arcs: list[Arc] = []
    fresh = 0

    def node() -> int:
        nonlocal fresh
        fresh += 1
        return fresh - 1

    before = node()  # silence may follow, or the word
    for number, pronunciations in enumerate(words):
        if not pronunciations:
            raise ValueError(f"word {number} of {len(words)} has no pronunciation")
        sources = [(before, skip)]
        if with_silence:
            sources.append((node(), 0.0))
            arcs.append((before, int(silence or 0), math.log(silence_prob), sources[1][0]))
        after = node()
        for phones, log_prob in pronunciations:
            if not len(phones) or min(phones) < 1 or max(phones) > num_phones:
                raise ValueError(f"a pronunciation needs phones from 1 to {num_phones}, not {list(phones)}")
            inner = [node() for _ in phones[1:]]
            ends = [*inner, after]
            arcs += [(source, phones[0], weight + log_prob, ends[0]) for source, weight in sources]
            arcs += [(inner[i], phones[i + 1], 0.0, ends[i + 1]) for i in range(len(inner))]
        before = after
    final = {before: skip}
    if with_silence:
        last = node()
        arcs.append((before, int(silence or 0), math.log(silence_prob), last))
        final[last] = 0.0
    kept = tuple(sorted(arc for arc in arcs if arc[2] > -math.inf))
    return PhoneAcceptor(fresh, 0, kept, {state: weight for state, weight in final.items() if weight > -math.inf})


def _compose(lattice: PhoneAcceptor, lm: PhoneLm) -> PhoneAcceptor | None:
    """The intersection of both, with the states that lie on a complete path; final weights are the lattice's."""
    leaving = lattice.leaving()
    table = lm.table
    number = {(0, lm.start): 0}
    queue = [(0, lm.start)]
    arcs: list[Arc] = []
    for place, state in queue:  # grows while we walk
        source = number[(place, state)]
        for phone, log_prob, target in leaving[place]:
            step = table.get((state, phone))
            if step is None:
                continue
            pair = (target, step[1])
            if pair not in number:
                number[pair] = len(number)
                queue.append(pair)
            arcs.append((source, phone, log_prob + step[0], number[pair]))
    final = {number[pair]: lattice.final[pair[0]] for pair in queue if pair[0] in lattice.final}
    entering: dict[int, list[int]] = {}
    for source, _, _, target in arcs:
        entering.setdefault(target, []).append(source)
    complete = set(final)
    backwards = list(final)
    for state in backwards:
        new = set(entering.get(state, ())) - complete
        complete |= new
        backwards += sorted(new)
    arcs = [arc for arc in arcs if arc[0] in complete and arc[3] in complete]
    if 0 not in complete or not arcs:
        return None
    rename = {state: i for i, state in enumerate(sorted(complete))}  # the start stays 0
    renamed = tuple(sorted((rename[s], phone, weight, rename[t]) for s, phone, weight, t in arcs))
    return PhoneAcceptor(len(rename), 0, renamed, {rename[state]: weight for state, weight in final.items()})
