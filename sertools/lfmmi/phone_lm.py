"""The phone language model of the denominator: an n-gram without smoothing, cut to a number of states."""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from sertools.errors import UserError
from sertools.lfmmi.graph import PhoneAcceptor

History = tuple[int, ...]
MAX_ORDER = 4
ROUNDS = 4  # Kaldi's: gains on the queue are made exact again so many times


@dataclass(frozen=True, eq=False)
class PhoneLm(PhoneAcceptor):
    """A deterministic acceptor over phones: at most one arc a state and phone.

    Attributes:
        histories: the phones that each state stands for, 0 at the front being the start of the utterance.
        counts: how often each state was seen in the text.
    """

    histories: tuple[History, ...]
    counts: tuple[int, ...]

    @cached_property
    def table(self) -> dict[tuple[int, int], tuple[float, int]]:
        """(state, phone) -> (log prob, next state)."""
        return {(source, phone): (log_prob, target) for source, phone, log_prob, target in self.arcs}


def _sum_xlogx(counts: Iterable[int]) -> float:
    return sum(count * math.log(count) for count in counts)


class _Estimator:
    """States with their counts, which merge into the states of shorter history."""

    def __init__(self, order: int, no_prune_order: int) -> None:
        self.order = order
        self.no_prune_order = no_prune_order
        self.counts: dict[History, dict[int, int]] = {}
        self.with_longer: dict[History, int] = {}

    def add(self, sequences: Iterable[Sequence[int]]) -> None:
        """Count n-grams; 0 stands before and after every sequence, histories at the start are shorter."""
        ngrams: Counter[History] = Counter()
        for sequence in sequences:
            text = (0, *sequence, 0)
            if min(sequence, default=1) < 1:
                raise UserError(f"phones are numbered from 1, but a sequence has {min(sequence)}")
            if self.order == 1:
                ngrams.update((phone,) for phone in text[1:])
                continue
            ngrams.update(text[:length] for length in range(2, min(self.order, len(text) + 1)))
            ngrams.update(zip(*(text[shift:] for shift in range(self.order)), strict=False))
        if not ngrams:
            raise UserError("the phone language model has no text: there is no sequence of phones")
        histories: dict[History, dict[int, int]] = defaultdict(dict)
        for ngram, count in sorted(ngrams.items()):
            histories[ngram[:-1]][ngram[-1]] = count
        for history, following in histories.items():
            self.counts[history] = following
            total = sum(following.values())
            for shorter in self._chain(history):
                self.counts.setdefault(shorter, {})
                self.with_longer[shorter] = self.with_longer.get(shorter, 0) + total

    def _chain(self, history: History) -> Iterable[History]:
        """The history and those it can back off to."""
        yield history
        while len(history) >= self.no_prune_order:
            history = history[1:]
            yield history

    def may_merge(self, history: History) -> bool:
        """Whether the state can be given up: no longer state backs off to it or needs all its context."""
        following = self.counts[history]
        if len(history) < self.no_prune_order or not following:
            return False
        if sum(following.values()) != self.with_longer[history]:
            return False
        if len(history) == self.order - 1:
            return True
        return not any(phone and self.with_longer.get((*history, phone), 0) for phone in following)

    def gain(self, history: History) -> float:
        """Change of the text's log-likelihood (<= 0) when the state merges into its shorter one."""
        mine, other = self.counts[history], self.counts[history[1:]]
        total_mine, total_other = sum(mine.values()), sum(other.values())
        if not other:
            return -1e-15 * total_mine  # moves without loss: the rarest first, as Kaldi does
        both = [count + other.get(phone, 0) for phone, count in mine.items()]
        shared = [other[phone] for phone in mine if phone in other]
        change = _sum_xlogx(both) - _sum_xlogx(mine.values()) - _sum_xlogx(shared)
        change -= _sum_xlogx([total_mine + total_other]) - _sum_xlogx([total_mine]) - _sum_xlogx([total_other])
        return min(change, 0.0)

    def merge(self, history: History) -> None:
        """Give the state's counts to the state of the shorter history."""
        other = self.counts[history[1:]]
        for phone, count in self.counts[history].items():
            other[phone] = other.get(phone, 0) + count
        self.counts[history] = {}
        self.with_longer[history] = 0

    def prune(self, num_extra_states: int) -> None:
        """Merge states, the least loss first, until ``num_extra_states`` beyond the unpruned ones remain."""
        basic = sum(len(history) == self.no_prune_order - 1 for history in self.counts)
        active = initial = sum(bool(following) for following in self.counts.values())
        for stage in range(1, ROUNDS + 1):
            target = initial + (basic + num_extra_states - initial) * stage // ROUNDS
            queue = [(-self.gain(history), history) for history in self.counts if self.may_merge(history)]
            heapq.heapify(queue)
            while active > target and queue:
                loss, history = heapq.heappop(queue)
                now = -self.gain(history)
                if not math.isclose(now, loss, rel_tol=1e-3):
                    heapq.heappush(queue, (now, history))
                    continue
                shorter = history[1:]
                could, was_empty = self.may_merge(shorter), not self.counts[shorter]
                self.merge(history)
                active -= not was_empty
                if not could and self.may_merge(shorter):
                    heapq.heappush(queue, (-self.gain(shorter), shorter))

    def acceptor(self) -> PhoneLm:
        """The states with counts, and their arcs."""
        histories = sorted(history for history, following in self.counts.items() if following)
        number = {history: state for state, history in enumerate(histories)}

        def find(history: History) -> int:
            history = history[len(history) - self.order + 1 :] if len(history) >= self.order else history
            while history not in number:
                history = history[1:]
            return number[history]

        arcs, final, totals = [], {}, []
        for state, history in enumerate(histories):
            following = self.counts[history]
            totals.append(sum(following.values()))
            for phone, count in sorted(following.items()):
                log_prob = math.log(count / totals[-1])
                if phone:
                    arcs.append((state, phone, log_prob, find((*history, phone))))
                else:
                    final[state] = log_prob
        start = find((0,) if self.order > 1 else ())
        return PhoneLm(len(histories), start, tuple(arcs), final, tuple(histories), tuple(totals))


def estimate_phone_lm(
    sequences: Iterable[Sequence[int]], order: int = 4, no_prune_order: int = 3, num_extra_states: int = 2000
) -> PhoneLm:
    """A phone n-gram as Kaldi's ``chain-est-phone-lm`` makes it.

    Probabilities are relative frequencies: what was not seen is impossible, there is no
    back-off arc, so the graph stays small.  All histories of ``no_prune_order`` - 1 phones are
    kept; of the longer ones ``num_extra_states``, chosen by merging, one after the other, the
    state that costs the text's likelihood least into the one that forgets its oldest phone
    (Povey et al. 2016, section 2.3).

    Args:
        sequences: phones of each utterance, from 1; the text.
        order: n of the n-gram, 1 to 4.
        no_prune_order: Kaldi's ``--no-prune-ngram-order``; at most ``order`` counts.
        num_extra_states: Kaldi's ``--num-extra-lm-states``.

    Raises:
        UserError: there is no sequence, or a phone below 1.
        ValueError: an option is out of range.
    """
    if not 1 <= order <= MAX_ORDER:
        raise ValueError(f"order must be 1 to {MAX_ORDER}, not {order}")
    if no_prune_order < 1 or num_extra_states < 0:
        raise ValueError("no_prune_order must be at least 1 and num_extra_states at least 0")
    estimator = _Estimator(order, min(no_prune_order, order))
    estimator.add(sequences)
    estimator.prune(num_extra_states)
    return estimator.acceptor()
