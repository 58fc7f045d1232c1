"""N-gram language models of words: interpolated modified Kneser-Ney, and ARPA files.

Chen and Goodman, 1999, Computer Speech and Language 13: 359-394; details (adjusted counts,
<unk>, counts of counts) as in KenLM (Heafield et al., 2013, ACL).  Pure Python: a million words a
minute or so, enough for transcripts; for large texts make the ARPA file with KenLM or pocolm.
"""

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sertools.errors import UserError

log = logging.getLogger(__name__)

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)  # KenLM's
NEVER = -99.0  # log10 of the probability of <s>, as ARPA files have it

Ngram = tuple[str, ...]


@dataclass(frozen=True)
class NgramConfig:
    """How to estimate a language model.

    Attributes:
        order: of the n-grams, 1 to 4.
        min_counts: n-grams of order i that occur less than ``min_counts[i - 1]`` times are left
            out and covered by back-off; the first has to be 1, and they may not decrease.  Orders
            beyond its length take its last value.
    """

    order: int = 3
    min_counts: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if not 1 <= self.order <= 4:
            raise ValueError(f"order must be 1 to 4, not {self.order}")
        if not self.min_counts or self.min_counts[0] != 1 or list(self.min_counts) != sorted(self.min_counts):
            raise ValueError(f"min_counts must begin with 1 and not decrease, not {list(self.min_counts)}")


@dataclass(frozen=True)
class NgramModel:
    """A back-off language model.

    Attributes:
        log_probs: for each order, n-gram to log10 probability of its last word after the others.
        backoffs: for each order, history to log10 of its back-off weight; 0 where absent.
    """

    log_probs: tuple[dict[Ngram, float], ...]
    backoffs: tuple[dict[Ngram, float], ...]

    @property
    def order(self) -> int:
        """The length of the longest n-grams."""
        return len(self.log_probs)

    @property
    def vocabulary(self) -> set[str]:
        """All words that can be predicted, </s> and <unk> among them."""
        return {ngram[0] for ngram in self.log_probs[0]} - {BEGIN}

    def log10(self, word: str, history: Sequence[str]) -> float:
        """log10 P(word | history); a word that is not in the vocabulary counts as <unk>.

        Raises:
            KeyError: it is not in the vocabulary, and neither is <unk>.
        """
        if (word,) not in self.log_probs[0]:
            word = UNKNOWN
        context = tuple(history[max(0, len(history) - self.order + 1) :]) if self.order > 1 else ()
        total = 0.0
        while context:
            found = self.log_probs[len(context)].get((*context, word))
            if found is not None:
                return total + found
            total += self.backoffs[len(context) - 1].get(context, 0.0)
            context = context[1:]
        return total + self.log_probs[0][(word,)]


@dataclass(frozen=True)
class Perplexity:
    """How well a model predicts a text.

    Attributes:
        sentences: number of sentences.
        words: number of words, ends of sentences not counted.
        unknown: how many of them are not in the vocabulary; they are left out of the perplexity.
        perplexity: of the known words and the ends of sentences.
    """

    sentences: int
    words: int
    unknown: int
    perplexity: float


def perplexity(model: NgramModel, sentences: Iterable[Sequence[str]]) -> Perplexity:
    """Perplexity without unknown words, which remain in histories as <unk>."""
    known = model.vocabulary - {UNKNOWN}
    num_sentences = num_words = unknown = predicted = 0
    total = 0.0
    for sentence in sentences:
        words = [BEGIN, *(word if word in known else UNKNOWN for word in sentence), END]
        for position in range(1, len(words)):
            if words[position] == UNKNOWN:
                unknown += 1
                continue
            total += model.log10(words[position], words[:position])
            predicted += 1
        num_sentences += 1
        num_words += len(sentence)
    value = 10.0 ** (-total / predicted) if predicted else math.nan
    return Perplexity(num_sentences, num_words, unknown, value)


def estimate(
    sentences: Iterable[Sequence[str]], config: NgramConfig, vocabulary: Collection[str] | None = None
) -> NgramModel:
    """Estimate an interpolated modified Kneser-Ney model.

    Where the counts of counts of an order allow no discounts (tiny or odd texts), 0.5, 1 and 1.5
    are taken, and the log says so.

    Args:
        sentences: of words, without marks of begin and end.
        config: order and cut-offs.
        vocabulary: the words that can be predicted; others count as <unk>, and those that the
            text lacks share the interpolation with the uniform distribution.  None: the words of
            the text.  <unk> and </s> are always among them.

    Raises:
        UserError: there are no sentences, or a word is <s> or </s>.
    """
    raw = _count(sentences, config.order, vocabulary)
    words = sorted({ngram[0] for ngram in raw[0]} | set(vocabulary or ()) | {UNKNOWN, END})
    adjusted = _adjust(raw)
    log_probs: list[dict[Ngram, float]] = []
    backoffs: list[dict[Ngram, float]] = []
    lower: dict[Ngram, float] = {}
    for order in range(1, config.order + 1):
        minimum = config.min_counts[min(order, len(config.min_counts)) - 1]
        discounts = _discounts(adjusted[order - 1], order)
        totals: defaultdict[Ngram, int] = defaultdict(int)
        kept_mass: defaultdict[Ngram, float] = defaultdict(float)
        kept: dict[Ngram, float] = {}
        for ngram, count in sorted(adjusted[order - 1].items()):
            totals[ngram[:-1]] += count
            if raw[order - 1][ngram] >= minimum:
                kept[ngram] = count - discounts[min(count, 3) - 1]
                kept_mass[ngram[:-1]] += kept[ngram]
        gammas = {history: 1.0 - kept_mass[history] / total for history, total in totals.items()}
        if order == 1:
            uniform = gammas[()] / len(words)
            unigrams: list[Ngram] = [(word,) for word in words]
            probs = {unigram: kept.get(unigram, 0.0) / totals[()] + uniform for unigram in unigrams}
        else:
            # the shorter n-gram occurs at least as often as the longer, so it was kept
            probs = {
                ngram: value / totals[ngram[:-1]] + gammas[ngram[:-1]] * lower[ngram[1:]]
                for ngram, value in kept.items()
            }
            # a history that is left out has no continuation that is not, so its weight is 1
            histories = sorted(gammas.keys() & log_probs[-1].keys() if order > 2 else gammas)
            backoffs.append({history: math.log10(gammas[history]) for history in histories})
        lower = probs
        log_probs.append({ngram: math.log10(value) for ngram, value in probs.items()})
    log_probs[0][(BEGIN,)] = NEVER
    backoffs.append({})
    return NgramModel(tuple(log_probs), tuple(backoffs))


def _count(sentences: Iterable[Sequence[str]], order: int, vocabulary: Collection[str] | None) -> list[Counter[Ngram]]:
    """Occurrences of n-grams of orders 1 to ``order``; <s> is only a history."""
    known = None if vocabulary is None else set(vocabulary)
    counts: list[Counter[Ngram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        if BEGIN in sentence or END in sentence:
            raise UserError(f"the words {BEGIN} and {END} mark begin and end of a sentence; remove them from the text")
        words = [word if known is None or word in known else UNKNOWN for word in sentence]
        padded = (BEGIN, *words, END)
        for length in range(1, order + 1):
            # n-grams with <s> alone at the begin are those of the history <s>
            first = 1 if length == 1 else 0
            counts[length - 1].update(padded[n : n + length] for n in range(first, len(padded) - length + 1))
    if not counts[0]:
        raise UserError("there is no sentence to estimate a language model of")
    return counts


def _adjust(raw: list[Counter[Ngram]]) -> list[dict[Ngram, int]]:
    """Kneser-Ney's counts: number of different words before, except for the highest order and after <s>."""
    adjusted: list[dict[Ngram, int]] = []
    for order, counts in enumerate(raw, start=1):
        if order == len(raw):
            adjusted.append(dict(counts))
            continue
        before: Counter[Ngram] = Counter(ngram[1:] for ngram in raw[order])
        adjusted.append({ngram: counts[ngram] if ngram[0] == BEGIN else before[ngram] for ngram in counts})
    return adjusted


def _discounts(counts: dict[Ngram, int], order: int) -> tuple[float, ...]:
    """Modified Kneser-Ney's discounts of counts 1, 2 and 3 or more (Chen and Goodman, equation 26)."""
    number = Counter(count for count in counts.values() if count <= 4)
    if all(number[n] > 0 for n in (1, 2, 3)):
        share = number[1] / (number[1] + 2 * number[2])
        discounts = tuple(n - (n + 1) * share * number[n + 1] / number[n] for n in (1, 2, 3))
        # a discount of 0 could leave nothing for back-off
        if all(0 < discount <= n for n, discount in enumerate(discounts, start=1)):
            return discounts
    log.info(
        "order %d: with %d, %d, %d, %d n-grams of count 1, 2, 3, 4 there are no Kneser-Ney discounts; taking %s",
        order, number[1], number[2], number[3], number[4], ", ".join(map(str, FALLBACK_DISCOUNTS)),
    )  # fmt: skip
    return FALLBACK_DISCOUNTS
