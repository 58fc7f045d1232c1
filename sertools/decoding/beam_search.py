"""Beam search with an attention decoder, of many utterances at once.

Every utterance is searched as if it were alone: what else is in the batch, and how far that pads it,
changes nothing but rounding.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sertools.models.a2w import END, A2wModel, DecoderState, Encoding
from sertools.models.large_softmax import best_tokens

CHUNK = 128  # rows of the softmax in memory at once where sequences are scored


@dataclass(frozen=True)
class BeamConfig:
    """How to search, and what is best.

    The score of a hypothesis of l tokens, its end symbol among them, is
    log P / l ** length_power + coverage * (frames whose attention weights sum up to more than the
    threshold).  Hypotheses of the same length compete for the beam by it as well.

    Attributes:
        beam: live hypotheses of an utterance.
        max_tokens: of a hypothesis, the end symbol included.
        tokens_per_frame: if above 0, a hypothesis of T' frames of the encoder has at most so many times T'
            tokens (one at least): one that goes round in circles ends by it.
        length_power: 0 for log P as it is, 1 for its mean over tokens.
        coverage: value of a frame that was listened to (Chorowski and Jaitly 2016), of the order of 0.001
            with length_power 1; 0 for none.
        coverage_threshold: see above.
        look_ahead: the search of an utterance ends when no live hypothesis can become better than the
            best ended one with so many more tokens, even if all were certain.  With max_tokens or more, the
            best hypothesis is the one that a search to the last token would find.
    """

    beam: int = 4
    max_tokens: int = 200
    length_power: float = 1.0
    coverage: float = 0.0
    coverage_threshold: float = 0.5
    look_ahead: int = 10
    tokens_per_frame: float = 0.0

    def __post_init__(self) -> None:
        if self.beam < 1 or self.max_tokens < 1:
            raise ValueError("beam and max_tokens must be at least 1")
        for name in ("length_power", "coverage", "coverage_threshold", "look_ahead", "tokens_per_frame"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")

    def limit(self, frames: int) -> int:
        """Most tokens of a hypothesis of an utterance of so many frames of the encoder."""
        if not self.tokens_per_frame:
            return self.max_tokens
        return min(self.max_tokens, max(1, int(self.tokens_per_frame * frames)))


@dataclass(frozen=True)
class Hypothesis:
    """What an utterance may have been.

    Attributes:
        tokens: without the end symbol.
        log_probability: of the tokens and, if it ended, of the end symbol.
        score: see :class:`BeamConfig`.
        ended: whether the end symbol came within max_tokens.
        states, outputs: (L, D), s and o of every token, the end symbol's included if it ended.
        weights: (L, T'), of the utterance's own frames.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    ended: bool
    states: Tensor
    outputs: Tensor
    weights: Tensor


@dataclass(frozen=True)
class _Step:
    """One step of all utterances that are not done, B rows each, one utterance after another.

    Attributes:
        parents: of each row, its row in the step before.
        tokens: the last one of each row.
        states: s after that token.
        outputs, weights: o and the attention from which the next token is predicted.
    """

    parents: list[int]
    tokens: list[int]
    states: Tensor
    outputs: Tensor
    weights: Tensor


@dataclass(frozen=True)
class _Candidate:
    """A row of a step and one token more."""

    score: float
    log_probability: float
    row: int
    token: int


@dataclass
class _Utterance:
    number: int
    frames: int
    live: list[_Candidate] = field(default_factory=list)
    ended: list[Hypothesis] = field(default_factory=list)


@torch.no_grad()
def beam_search(model: A2wModel, encoding: Encoding, config: BeamConfig) -> list[list[Hypothesis]]:
    """The best hypotheses of each utterance.

    At every step the live hypotheses are continued by every token.  Of the best ``beam``
    continuations those with the end symbol have ended and leave the beam; the best ``beam`` of the
    others live on.  Of equally good ones that with the better beginning is first, then that with the
    smaller token; of hypotheses that ended, the one that ended first.

    Args:
        model: in any mode, there is no dropout in the search.
        encoding: of utterances of any lengths.
        config: see :class:`BeamConfig`.

    Returns:
        For each utterance at most ``beam`` hypotheses, best first: those that ended; if none did
        within ``max_tokens`` (or what :meth:`BeamConfig.limit` says), those that were alive then.

    Raises:
        ValueError: the model's scores are not numbers.
    """
    active = [_Utterance(number, frames) for number, frames in enumerate(encoding.lengths.tolist())]
    results: list[list[Hypothesis]] = [[] for _ in active]
    state = model.start(encoding)
    totals, covered = state.s.new_zeros(len(active), 1), torch.zeros_like(state.weights)
    parents, tokens = [0] * len(active), [END] * len(active)
    trace: list[_Step] = []
    for length in range(1, config.max_tokens + 1):
        before = state.s
        outputs, state = model.attend(encoding, state)
        trace.append(_Step(parents, tokens, before, outputs, state.weights))
        covered = covered + state.weights
        for utterance, candidates in zip(
            active, _candidates(model, outputs, totals, covered, config, length), strict=True
        ):
            best = candidates[: config.beam]
            utterance.ended += _hypotheses(model, trace, state, [c for c in best if c.token == END], utterance.frames)
            utterance.live = [c for c in candidates if c.token != END][: config.beam]
        done = [_is_done(utterance, covered, config, length) for utterance in active]
        for utterance, is_done in zip(active, done, strict=True):
            if is_done:
                found = utterance.ended or _hypotheses(model, trace, state, utterance.live, utterance.frames)
                results[utterance.number] = sorted(found, key=lambda h: -h.score)[: config.beam]
        if all(done):
            break
        if any(done):
            kept = [place for place, is_done in enumerate(done) if not is_done]
            active, encoding = [active[place] for place in kept], encoding.select(_index(kept, covered))
        parents, tokens, totals = _rows(active, totals)
        places, frames = _index(parents, covered), encoding.keys.shape[1]
        state, covered = state.select(places), covered[places, :frames]
        state = model.read(replace(state, weights=state.weights[:, :frames]), _index(tokens, covered))
    return results


def _index(values: list[int], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.int64, device=like.device)


def _candidates(
    model: A2wModel, outputs: Tensor, totals: Tensor, covered: Tensor, config: BeamConfig, length: int
) -> list[list[_Candidate]]:
    """The best 2 * beam continuations of each utterance, of which at most beam end, best first."""
    utterances, hypotheses = totals.shape
    scores = model.output(outputs)
    values, tokens = best_tokens(scores, min(2 * config.beam, scores.shape[1]))
    log_probs = totals[..., None] + (values - scores.logsumexp(1, keepdim=True)).view(utterances, hypotheses, -1)
    ranks = log_probs / length**config.length_power
    if config.coverage:
        frames = (covered > config.coverage_threshold).sum(1)
        ranks = ranks + config.coverage * frames.to(ranks.dtype).view(utterances, hypotheses, 1)
    ranks, order = ranks.flatten(1).sort(dim=1, descending=True, stable=True)
    ranks, order = ranks[:, : 2 * config.beam], order[:, : 2 * config.beam]
    first = torch.arange(utterances, device=order.device)[:, None] * hypotheses
    rows = first + torch.div(order, tokens.shape[1], rounding_mode="floor")
    found = [log_probs.flatten(1).gather(1, order), rows, tokens.view(utterances, -1).gather(1, order)]
    # one transfer from the device a step
    table = torch.stack([x.double() for x in (ranks, *found)], 2).tolist()
    if any(entry[0] != entry[0] for entries in table for entry in entries):
        raise ValueError("the scores of the model are not numbers")
    return [
        [_Candidate(rank, total, int(row), int(token)) for rank, total, row, token in entries if rank > float("-inf")]
        for entries in table
    ]


def _rows(active: list[_Utterance], totals: Tensor) -> tuple[list[int], list[int], Tensor]:
    """Parents, tokens and log-probabilities (N, B) of the next step's rows, B being the most that live of any."""
    width = max(len(utterance.live) for utterance in active)
    parents, tokens, log_probs = [], [], []
    for utterance in active:
        missing = width - len(utterance.live)
        live = utterance.live + [replace(utterance.live[0], log_probability=float("-inf"))] * missing
        parents += [candidate.row for candidate in live]
        tokens += [candidate.token for candidate in live]
        log_probs.append([candidate.log_probability for candidate in live])
    return parents, tokens, totals.new_tensor(log_probs)


def _is_done(utterance: _Utterance, covered: Tensor, config: BeamConfig, length: int) -> bool:
    """Whether no live hypothesis can become better than the best that ended; see :class:`BeamConfig`."""
    limit = config.limit(utterance.frames)
    if length == limit or not utterance.live:
        return True
    if not utterance.ended:
        return False
    # log P only falls, and what is negative is best divided by the largest number
    last = min(limit, length + config.look_ahead)
    bounds = [candidate.log_probability / last**config.length_power for candidate in utterance.live]
    if config.coverage:
        sums = covered[_index([candidate.row for candidate in utterance.live], covered), : utterance.frames]
        # of further weights, of sum 1 a step, the frames get most that need least
        missing = (config.coverage_threshold - sums).clamp(min=0).sort(1)[0].cumsum(1)
        frames = (missing <= last - length + 1e-3).sum(1).tolist()
        bounds = [bound + config.coverage * count for bound, count in zip(bounds, frames, strict=True)]
    return max(bounds) <= max(hypothesis.score for hypothesis in utterance.ended)


def _hypotheses(
    model: A2wModel, trace: list[_Step], state: DecoderState, candidates: list[_Candidate], frames: int
) -> list[Hypothesis]:
    """Candidates of the last step, followed back to their beginnings."""
    if not candidates:
        return []
    rows = _index([candidate.row for candidate in candidates], state.s)
    last = model.read(state.select(rows), _index([candidate.token for candidate in candidates], state.s)).s
    result = []
    for candidate, final in zip(candidates, last, strict=True):
        row, tokens, states, outputs, weights = candidate.row, [candidate.token], [final], [], []
        for place in range(len(trace) - 1, -1, -1):
            step = trace[place]
            outputs.append(step.outputs[row])
            weights.append(step.weights[row, :frames])
            if place:
                tokens.append(step.tokens[row])
                states.append(step.states[row])
                row = step.parents[row]
        result.append(
            Hypothesis(
                tuple(token for token in reversed(tokens) if token != END), candidate.log_probability,
                candidate.score, candidate.token == END,
                *(torch.stack(vectors[::-1]) for vectors in (states, outputs, weights)),
            )
        )  # fmt: skip
    return result


@torch.no_grad()
def score_tokens(model: A2wModel, encoding: Encoding, tokens: Sequence[Sequence[Sequence[int]]]) -> list[list[float]]:
    """Log-probabilities of given sequences and the end symbol behind them, as for rescoring n-best lists.

    What sequences of an utterance have in common at their beginnings is computed once.

    Args:
        model: in any mode.
        encoding: of N utterances.
        tokens: for each utterance any number of sequences, without the end symbol.
    """
    result = []
    for number, sequences in enumerate(tokens):
        one = encoding.select(torch.tensor([number], device=encoding.keys.device)) if sequences else encoding
        result.append(_score(model, one, [(*sequence, END) for sequence in sequences]))
    return result


def _score(model: A2wModel, encoding: Encoding, sequences: list[tuple[int, ...]]) -> list[float]:
    """Log-probabilities of sequences of one utterance, given with their end symbols."""
    totals: dict[tuple[int, ...], float] = {(): 0.0}
    rows: dict[tuple[int, ...], int] = {(): 0}
    state = model.start(encoding)
    for length in range(1, max(map(len, sequences), default=0) + 1):
        outputs, state = model.attend(encoding, state)
        longer = {sequence[:length] for sequence in sequences if len(sequence) >= length}
        beginnings = sorted(longer, key=lambda beginning: (rows[beginning[:-1]], beginning[-1]))
        parents = [rows[beginning[:-1]] for beginning in beginnings]
        tokens = _index([beginning[-1] for beginning in beginnings], state.s)
        found: list[float] = []
        for first in range(0, len(outputs), CHUNK):
            log_probs = model.log_probabilities(outputs[first : first + CHUNK])
            here = slice(bisect_left(parents, first), bisect_left(parents, first + CHUNK))
            found += log_probs[_index(parents[here], state.s) - first, tokens[here]].tolist()
        for beginning, value in zip(beginnings, found, strict=True):
            totals[beginning] = totals[beginning[:-1]] + value
        # END is read too where it is the last token: a few rows more that nothing follows
        rows = {beginning: row for row, beginning in enumerate(beginnings)}
        state = model.read(state.select(_index(parents, state.s)), tokens)
    return [totals[sequence] for sequence in sequences]
