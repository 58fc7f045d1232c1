"""What an acoustic-to-word recogniser makes of utterances: its decoder's states, and words."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sertools.a2w.loss import teach
from sertools.decoding.beam_search import BeamConfig, Hypothesis, beam_search
from sertools.decoding.transcripts import Transcript
from sertools.decoding.wer import Errors, count_errors, spoken
from sertools.emotion.joint_asr.config import StatesConfig
from sertools.emotion.joint_asr.data import Spoken, whole, whole_in_order
from sertools.lang.vocabulary import Vocabulary
from sertools.models.a2w import A2wModel, Decoded

log = logging.getLogger(__name__)

BATCH_FRAMES = 10000


@dataclass(frozen=True)
class Heard:
    """One utterance as a recogniser has it.

    Attributes:
        words: its best hypothesis; () where the decoder was told the words.
        states: float32 (L, D) on the CPU, see :class:`sertools.emotion.joint_asr.config.StatesConfig`.
        ended: whether the hypothesis came to its end.
    """

    words: tuple[str, ...]
    states: Tensor
    ended: bool = True


def targets(utterances: Sequence[Spoken], vocabulary: Vocabulary) -> list[list[int]]:
    """Token ids of the reference words."""
    return [vocabulary.encode_words(one.words) for one in utterances]


def steps_of(found: Decoded | Hypothesis, config: StatesConfig) -> Tensor:
    """The states or the outputs of decoder steps, as the configuration says."""
    return found.states if config.decoder_state == "state" else found.outputs


def _told(groups: Sequence[list[Spoken]]) -> Iterator[list[Spoken]]:
    """Groups, with a line every half minute of how far they are."""
    last, done, total = time.monotonic(), 0, sum(map(len, groups))
    for group in groups:
        yield group
        done += len(group)
        if time.monotonic() - last > 30:
            last = time.monotonic()
            log.info("the recogniser has heard %d of %d utterances", done, total)


def _in_groups(
    model: A2wModel, utterances: Sequence[Spoken], hear: Callable[[list[Spoken]], list[Heard]]
) -> dict[str, Heard]:
    """``hear`` applied to all utterances by length, the model in evaluation mode."""
    training = model.training
    model.eval()
    found: dict[str, Heard] = {}
    with torch.no_grad():
        for group in _told(list(whole_in_order(utterances, BATCH_FRAMES))):
            found.update(zip((one.id for one in group), hear(group), strict=True))
    model.train(training)
    return found


def hear(
    model: A2wModel, vocabulary: Vocabulary, utterances: Sequence[Spoken], config: StatesConfig, search: BeamConfig
) -> dict[str, Heard]:
    """The best hypothesis of each utterance, and the states that it went through; by id."""
    found = _hear(model, vocabulary, utterances, config, search)
    _tell_unended(found, search)
    return found


def _hear(
    model: A2wModel, vocabulary: Vocabulary, utterances: Sequence[Spoken], config: StatesConfig, search: BeamConfig
) -> dict[str, Heard]:
    def recognise(group: list[Spoken]) -> list[Heard]:
        features, lengths = whole(group)
        best = [each[0] for each in beam_search(model, model.encode(features.to(model.device), lengths), search)]
        return [
            Heard(tuple(vocabulary.words(one.tokens)), steps_of(one, config).float().cpu(), one.ended) for one in best
        ]

    return _in_groups(model, utterances, recognise)


def _tell_unended(found: dict[str, Heard], search: BeamConfig) -> None:
    unended = sum(not one.ended for one in found.values())
    if unended:
        log.info("%d of %d hypotheses did not end within %d tokens", unended, len(found), search.max_tokens)


def follow(
    model: A2wModel, vocabulary: Vocabulary, utterances: Sequence[Spoken], config: StatesConfig
) -> dict[str, Heard]:
    """The states of a decoder that is told the words that were said; by id."""

    def read(group: list[Spoken]) -> list[Heard]:
        features, lengths = whole(group)
        tokens = targets(group, vocabulary)
        steps = steps_of(teach(model, model.encode(features.to(model.device), lengths), tokens), config)
        return [Heard((), x[: len(one) + 1].float().cpu()) for x, one in zip(steps, tokens, strict=True)]

    return _in_groups(model, utterances, read)


@dataclass
class Memory:
    """What a recogniser that does not learn makes of utterances, computed once; shared by the runs of a process.

    Utterances are computed in groups of the whole corpus, whichever of them are asked for: padding and
    rounding, and so what is learnt from the states, do not depend on the runs before.

    Attributes:
        model, vocabulary: the recogniser.
        config: what is read of it.
        corpus: all utterances that may be asked for.
    """

    model: A2wModel
    vocabulary: Vocabulary
    config: StatesConfig
    corpus: Sequence[Spoken]
    _heard: dict[str, Heard] = field(default_factory=dict)
    _followed: dict[str, Heard] = field(default_factory=dict)
    _groups: list[list[Spoken]] = field(default_factory=list)

    def hypotheses(self, utterances: Sequence[Spoken], device: str) -> dict[str, Heard]:
        """See :func:`hear`."""
        missing = self._missing(utterances, self._heard)
        for group in _told(missing):
            model = self.model.to(device)
            self._heard |= _hear(model, self.vocabulary, group, self.config, self.config.search)
        found = {one.id: self._heard[one.id] for one in utterances}
        if missing:
            _tell_unended(found, self.config.search)
        return found

    def states(self, utterances: Sequence[Spoken], source: str, device: str) -> dict[str, Heard]:
        """Of ``reference`` words or of the ``hypothesis``."""
        if source == "hypothesis":
            return self.hypotheses(utterances, device)
        for group in _told(self._missing(utterances, self._followed)):
            self._followed |= follow(self.model.to(device), self.vocabulary, group, self.config)
        return {one.id: self._followed[one.id] for one in utterances}

    def _missing(self, utterances: Sequence[Spoken], known: dict[str, Heard]) -> list[list[Spoken]]:
        """The groups of the corpus in which there are utterances that are not known yet."""
        wanted = {one.id for one in utterances if one.id not in known}
        if not wanted:
            return []
        if not self._groups:
            self._groups = list(whole_in_order(self.corpus, BATCH_FRAMES))
        return [group for group in self._groups if any(one.id in wanted for one in group)]


def transcripts(utterances: Sequence[Spoken], heard: dict[str, Heard]) -> list[Transcript]:
    """Rows for the table of recognised words."""
    return [Transcript(one.id, one.speaker, one.words, heard[one.id].words) for one in utterances]


def word_errors(utterances: Sequence[Spoken], heard: dict[str, Heard]) -> float:
    """Word error rate in percent, marks of noises and of unknown words left out.

    An infinite one (words where none were said) counts as 100.
    """
    zero = Errors(0, 0, 0, 0)
    total = sum((count_errors(spoken(o.words), spoken(heard[o.id].words)) for o in utterances), zero)
    return 100.0 * total.total / total.words if total.words else 100.0 * bool(total.total)
