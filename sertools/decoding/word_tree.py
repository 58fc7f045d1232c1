"""Lexicon and grammar as one transducer from phones to words, LG: a tree of words at each history.

What L o G, determinised and without epsilons, would be, but built directly, in time linear in the
number of n-grams times the length of words: k2's determinisation takes more than half an hour with
50 000 words.  Scores are pushed towards the root of each tree (Ortmanns, Ney and Eiden, 1996,
ICSLP), so that a search knows early what a beginning of a word can come to.
"""

import math
from collections.abc import Callable, Iterator

from sertools.decoding.transducers import Builder, Transducer
from sertools.errors import UserError
from sertools.lang.lexicon import Lexicon
from sertools.lang.ngram import BEGIN, END, UNKNOWN, Ngram, NgramModel

_First = tuple[int, int, int, float]  # an arc from the root of a tree: target, phone, word, score


def make_word_tree(lexicon: Lexicon, model: NgramModel, silence_prob: float = 0.5) -> Transducer:
    """LG, free of epsilons: labels are phones, outputs words.

    A path says words of the lexicon one after the other, with silence at will before, between and
    after them.  Its score is that of the language model, the pronunciations and the silences.  An
    n-gram that is in the model can also be reached by back-off, as in every such graph.  A word is
    put out at its last phone.  Words that the lexicon lacks are left out.

    Args:
        lexicon: phones, words, pronunciations.
        model: language model.
        silence_prob: of silence at each place; of no use where the lexicon has no silence.

    Raises:
        ValueError: ``silence_prob`` is not between 0 and 1.
        UserError: the model and the lexicon have no word in common, or the model has no </s>.
    """
    if not 0.0 < silence_prob < 1.0:
        raise ValueError(f"silence_prob must be between 0 and 1, not {silence_prob}")
    followers = _followers(lexicon, model)
    if not followers[()] or (END,) not in model.log_probs[0]:
        raise UserError("the language model predicts no word of the lexicon; were both made of the same lang folder?")
    builder = Builder()
    start = builder.state()
    roots = {history: builder.state() for history in followers}
    # after a word: on without silence, or through a state from which silence leads on
    silences = {history: builder.state() for history in followers} if lexicon.silence is not None else {}
    skip, pause = (math.log1p(-silence_prob), math.log(silence_prob)) if silences else (0.0, 0.0)

    def ends(history: Ngram) -> Iterator[tuple[int, float]]:
        yield roots[history], skip
        if silences:
            yield silences[history], pause

    first = {history: _grow(builder, root, followers[history], lexicon, ends) for history, root in roots.items()}
    closed: dict[Ngram, list[_First]] = {}
    for history in sorted(roots, key=len):
        shorter, weight = _back_off(model, history, roots)
        more = [] if shorter is None else [(t, p, w, weight + score) for t, p, w, score in closed[shorter]]
        closed[history] = first[history] + more
        for target, phone, word, score in closed[history]:
            builder.arc(roots[history], target, phone, word, score)
        end = model.log10(END, history) * math.log(10)
        builder.final(roots[history], end)
        if silences and lexicon.silence is not None:
            builder.arc(silences[history], roots[history], lexicon.silence, 0)
    begin: Ngram = (BEGIN,) if (BEGIN,) in roots else ()
    for target, phone, word, score in closed[begin]:
        builder.arc(start, target, phone, word, skip + score)
    builder.final(start, skip + model.log10(END, (BEGIN,)) * math.log(10))
    if silences and lexicon.silence is not None:
        builder.arc(start, roots[begin], lexicon.silence, 0, pause)
    return builder.build()


_Followers = dict[Ngram, list[tuple[str, float, Ngram]]]


def _followers(lexicon: Lexicon, model: NgramModel) -> _Followers:
    """For each history with n-grams of its own: (word, score, the history after it)."""
    known = set(lexicon.entries) - (set() if lexicon.unknown is not None else {UNKNOWN})
    weighted = {history for table in model.backoffs for history, weight in table.items() if weight != 0.0}
    continued = {ngram[:-1] for table in model.log_probs[1:] for ngram in table}
    histories = {one for one in weighted | continued if all(word in known for word in one[one[0] == BEGIN :])}
    followers: _Followers = {(): []} | {history: [] for history in sorted(histories)}
    for table in model.log_probs:
        for ngram, log10 in table.items():
            history, word = ngram[:-1], ngram[-1]
            if history in followers and word in known:
                after = ngram[-model.order + 1 :] if model.order > 1 else ()
                while after not in followers:
                    after = after[1:]
                followers[history].append((word, log10 * math.log(10), after))
    return followers


def _back_off(model: NgramModel, history: Ngram, roots: dict[Ngram, int]) -> tuple[Ngram | None, float]:
    """The next shorter history that is a state, and the score of going there."""
    if not history:
        return None, 0.0
    weight = model.backoffs[len(history) - 1].get(history, 0.0)
    shorter = history[1:]
    while shorter not in roots:  # histories that are no states have the weight 0
        shorter = shorter[1:]
    return shorter, weight * math.log(10)


def _grow(
    builder: Builder,
    root: int,
    words: list[tuple[str, float, Ngram]],
    lexicon: Lexicon,
    ends: Callable[[Ngram], Iterator[tuple[int, float]]],
) -> list[_First]:
    """Add the tree of ``words`` below ``root``, but for the arcs from the root, which are returned."""
    said = [
        (phones, lexicon.word_ids[word], score + log_prob, after)
        for word, score, after in words
        for phones, log_prob in lexicon.entries[word]
    ]
    best: dict[tuple[int, ...], float] = {}
    for phones, _, score, _ in said:
        for length in range(1, len(phones)):
            best[phones[:length]] = max(score, best.get(phones[:length], -math.inf))
    nodes = {(): root} | {begin: builder.state() for begin in best}
    best[()] = 0.0
    first: list[_First] = []

    def arc(begin: tuple[int, ...], target: int, phone: int, word: int, score: float) -> None:
        if begin:
            builder.arc(nodes[begin], target, phone, word, score - best[begin])
        else:
            first.append((target, phone, word, score))

    for begin, node in nodes.items():
        if begin:
            arc(begin[:-1], node, begin[-1], 0, best[begin])
    for phones, word, score, after in said:
        for target, extra in ends(after):
            arc(phones[:-1], target, phones[-1], word, score + extra)
    return first
