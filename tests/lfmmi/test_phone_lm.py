"""The phone language model: relative frequencies, limited states."""

import math
from collections import Counter

import pytest
from lfmmi_examples import text

from sertools.errors import UserError
from sertools.lfmmi import PhoneLm, estimate_phone_lm

SEQUENCES = text(5, sequences=200, length=12)


def log_prob(lm: PhoneLm, sequence: list[int]) -> float:
    """Of a sequence with its end."""
    state, total = lm.start, 0.0
    for phone in sequence:
        weight, state = lm.table[state, phone]
        total += weight
    return total + lm.final[state]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("extra", [0, 5, 2000])
def test_probabilities_of_each_state_sum_to_one(order: int, extra: int) -> None:
    lm = estimate_phone_lm(SEQUENCES, order, num_extra_states=extra)
    sums = [math.exp(lm.final.get(state, -math.inf)) for state in range(lm.num_states)]
    for source, _, weight, target in lm.arcs:
        sums[source] += math.exp(weight)
        assert 0 <= target < lm.num_states
    assert sums == pytest.approx([1.0] * lm.num_states)
    assert len(lm.table) == len(lm.arcs)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_unpruned_gives_relative_frequencies(order: int) -> None:
    lm = estimate_phone_lm(SEQUENCES, order)
    ngrams: Counter[tuple[int, ...]] = Counter()
    for sequence in SEQUENCES:
        for i, phone in enumerate([*sequence, 0]):
            ngrams[(*[0, *sequence][: i + 1][-(order - 1) :], phone) if order > 1 else (phone,)] += 1
    for ngram, count in ngrams.items():
        state = lm.histories.index(ngram[:-1])
        total = sum(c for other, c in ngrams.items() if other[:-1] == ngram[:-1])
        got = lm.final[state] if ngram[-1] == 0 else lm.table[state, ngram[-1]][0]
        assert got == pytest.approx(math.log(count / total))
        assert lm.counts[state] == total


def test_walk_of_a_trigram_is_its_likelihood() -> None:
    lm = estimate_phone_lm([[1, 2, 3], [1, 2, 2], [1, 2, 2]], 3)
    assert log_prob(lm, [1, 2, 2]) == pytest.approx(math.log(2 / 3))
    assert log_prob(lm, [1, 2, 3]) == pytest.approx(math.log(1 / 3))


@pytest.mark.parametrize("extra", [0, 1, 7, 30])
def test_number_of_states_is_limited(extra: int) -> None:
    full = estimate_phone_lm(SEQUENCES, 4)
    lm = estimate_phone_lm(SEQUENCES, 4, num_extra_states=extra)
    basic = {history[-2:] for history in full.histories if len(history) >= 2}
    short = sum(len(history) < 2 for history in full.histories)
    assert full.num_states > len(basic) + 30
    # as in Kaldi, the state of the start of an utterance counts among the extra ones
    assert lm.num_states == len(basic) + max(extra, short)
    assert sum(len(history) == 1 for history in lm.histories) == short


def test_states_kept_are_those_that_matter() -> None:
    # after 1 2 3 always 4, after 2 2 3 always 1; after x 1 2 the same in both contexts
    sequences = [[1, 2, 3, 4]] * 50 + [[2, 2, 3, 1]] * 50 + [[3, 1, 2, 3, 4]] * 50
    lm = estimate_phone_lm(sequences, 4, num_extra_states=2)
    kept = {history for history in lm.histories if len(history) == 3}
    assert kept & {(1, 2, 3), (2, 2, 3)}
    assert log_prob(lm, [1, 2, 3, 4]) == pytest.approx(log_prob(estimate_phone_lm(sequences, 4), [1, 2, 3, 4]))


def test_every_sequence_of_the_text_has_a_path_after_pruning() -> None:
    for no_prune in (1, 2, 3):
        lm = estimate_phone_lm(SEQUENCES, 4, no_prune, 3)
        assert all(log_prob(lm, sequence) > -math.inf for sequence in SEQUENCES)


def test_the_order_of_the_text_does_not_matter() -> None:
    one, two = (estimate_phone_lm(s, 4, 3, 9) for s in (SEQUENCES, SEQUENCES[::-1]))
    assert one.arcs == two.arcs
    assert one.histories == two.histories


def test_mistakes() -> None:
    with pytest.raises(UserError, match="no sequence"):
        estimate_phone_lm([])
    with pytest.raises(UserError, match="numbered from 1"):
        estimate_phone_lm([[1, 0]])
    with pytest.raises(ValueError, match="order"):
        estimate_phone_lm([[1]], 5)
