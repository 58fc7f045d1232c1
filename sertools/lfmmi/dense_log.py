"""Forward-backward of a graph for each utterance in logarithms: always exact, and slow.

For what scaled probabilities (``dense_scaled``) cannot hold, and to say that there is no path.
All utterances are one graph without connection; each state has the arcs that enter it in a padded
column.  Forwards and backwards run in the same loop, as one graph and its mirror image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sertools.lfmmi.graph import Graph
from sertools.lfmmi.hmm import Hmm, concatenate, normal_form
from sertools.lfmmi.leak import IMPOSSIBLE, Leak, by_utterance, make_leak

WIDTH = 3  # so many entering arcs of every state are looked at together; what is more, apart
CHUNK_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class Columns:
    """Entering arcs of M states: sources and log-probs, (D, M).  Padding has the impossible source."""

    sources: Tensor
    log_probs: Tensor

    def sum(self, values: Tensor) -> Tensor:
        """Log of the sum over the entering arcs, given what the sources have; (M,)."""
        return (values[self.sources] + self.log_probs).logsumexp(0)


@dataclass(frozen=True)
class Arcs:
    """The first arcs of all states, and the further ones of the states ``many``."""

    first: Columns
    many: Tensor
    further: Columns | None

    def sum(self, values: Tensor) -> Tensor:
        """Log of the sum over the entering arcs of all states."""
        total = self.first.sum(values)
        if self.further is not None:
            total[self.many] = torch.logaddexp(total[self.many], self.further.sum(values))
        return total


def _columns(ranks: Tensor, places: Tensor, sources: Tensor, log_probs: Tensor, size: int, impossible: int) -> Columns:
    depth = int(ranks.max()) + 1 if len(ranks) else 1
    table = torch.full((depth, size), impossible, dtype=torch.int64)
    table[ranks, places] = sources
    weights = torch.zeros(depth, size, dtype=torch.float64)
    weights[ranks, places] = log_probs.double()
    return Columns(table, weights)


def _arcs(hmm: Hmm, device: torch.device, mirror: bool) -> Arcs:
    """Entering arcs of the graph and, ``mirror``, of its mirror image behind it; then the impossible state."""
    size = hmm.num_states
    sources, targets, log_probs = hmm.sources, hmm.targets, hmm.log_probs
    if mirror:
        sources, targets = torch.cat([sources, targets + size]), torch.cat([targets, sources + size])
        log_probs = torch.cat([log_probs, log_probs])
        size *= 2
    order = torch.argsort(targets, stable=True)
    sources, targets, log_probs = sources[order], targets[order], log_probs[order]
    degree = torch.bincount(targets, minlength=size)
    ranks = torch.arange(len(targets)) - (degree.cumsum(0) - degree)[targets]
    near = ranks < WIDTH
    first = _columns(ranks[near], targets[near], sources[near], log_probs[near], size, size)
    many = torch.nonzero(degree > WIDTH).squeeze(1)
    further = None
    if len(many):
        place = torch.zeros(size, dtype=torch.int64)
        place[many] = torch.arange(len(many))
        far = ~near
        cells = ranks[far] - WIDTH, place[targets[far]]
        further = _columns(*cells, sources[far], log_probs[far], len(many), size)
        further = Columns(further.sources.to(device), further.log_probs.to(device))
    return Arcs(Columns(first.sources.to(device), first.log_probs.to(device)), many.to(device), further)


def forward_backward(
    graphs: Sequence[Graph], outputs: Tensor, lengths: Tensor, posteriors: bool = True, leaky: float = 0.0
) -> tuple[Tensor, Tensor | None]:
    """Log-prob of every utterance under its own graph, and the posteriors of pdfs.

    Args:
        graphs: one an utterance.
        outputs: (N, T, P) float32 or float64, finite.
        lengths: (N,) int64.
        posteriors: whether to compute them.
        leaky: Kaldi's ``leaky-hmm-coefficient``; the graphs' initial probabilities then sum to one.

    Returns:
        (N,) float64, -inf where no path has the utterance's number of frames; (N, T, P) in the
        dtype of ``outputs`` or None.  Posteriors of padding and of impossible utterances are zero.
    """
    utterances, frames, _ = outputs.shape
    device = outputs.device
    lengths = lengths.to(device)
    hmm = normal_form(*concatenate(graphs))
    size = hmm.num_states
    utterance = hmm.utterance.to(device)
    leak = make_leak(hmm, lengths, leaky)
    arcs = _arcs(hmm, device, posteriors)
    entry, loop = _emissions(hmm, utterance, outputs, lengths)
    final = hmm.final.double().clamp(min=IMPOSSIBLE).to(device)
    alpha = torch.empty(frames + 1, size, dtype=torch.float64, device=device)
    alpha[0] = hmm.initial.double().clamp(min=IMPOSSIBLE)
    beta = torch.empty_like(alpha) if posteriors else alpha[:, :0]
    beta[frames] = final[: beta.shape[1]]
    now = torch.cat([alpha[0], beta[frames]])
    seen = torch.full((len(now) + 1,), IMPOSSIBLE, dtype=torch.float64, device=device)  # the last stays impossible
    here, there = now[:size], now[size:]
    seen_now, seen_there = seen[:-1], seen[size:-1]
    for t in range(frames):
        back = frames - 1 - t
        if leak is not None:
            here.copy_(leak.forwards(here[None], torch.full_like(lengths[:1], t))[0])
            if posteriors:
                there.copy_(leak.backwards(there[None], torch.full_like(lengths[:1], back + 1))[0])
        seen_now.copy_(now)
        if posteriors:  # backwards an arc sees what its target has and emits
            seen_there += entry[back]
            there += loop[back]
        incoming = arcs.sum(seen)
        incoming[:size] += entry[t]
        here += loop[t]
        torch.logaddexp(now, incoming, out=now)
        alpha[t + 1] = here
        if posteriors:
            beta[back] = there
    end = alpha[frames] if leak is None else leak.forwards(alpha[frames:], torch.full_like(lengths[:1], frames))[0]
    log_prob = by_utterance(end + final, utterance, utterances)
    log_prob = torch.where(log_prob > IMPOSSIBLE / 2, log_prob, torch.full_like(log_prob, -torch.inf))
    if not posteriors:
        return log_prob, None
    shift = torch.where(log_prob > -torch.inf, log_prob, torch.full_like(log_prob, -IMPOSSIBLE))[utterance]
    beta -= shift
    return log_prob, _posteriors(hmm, utterance, outputs, lengths, alpha, beta, loop, leak)


def _posteriors(
    hmm: Hmm,
    utterance: Tensor,
    outputs: Tensor,
    lengths: Tensor,
    alpha: Tensor,
    beta: Tensor,
    loop: Tensor,
    leak: Leak | None,
) -> Tensor:
    """Posteriors of pdfs, from those of loops and of what else leads to the states.

    Alphas are those before a leak, betas those behind it.
    """
    _, frames, num_pdfs = outputs.shape
    result = torch.zeros_like(outputs)
    step = max(1, CHUNK_ELEMENTS // max(hmm.num_states, 1))
    pdfs = torch.stack([hmm.loop_pdf, hmm.entry_pdf]).clamp(min=0).to(outputs.device)
    for begin in range(0, frames, step):
        end = min(begin + step, frames)
        time = torch.arange(begin, end, device=outputs.device)[:, None]
        before, behind = alpha[begin:end], beta[begin + 1 : end + 1]
        if leak is not None:
            before, behind = leak.forwards(before, time.squeeze(1)), leak.backwards(behind, time.squeeze(1) + 1)
        stayed = (before + loop[begin:end] + behind).exp()
        came = (alpha[begin + 1 : end + 1] + behind).exp().sub_(stayed).clamp_(min=0)
        active = time < lengths[utterance]
        cells = (utterance * frames + time) * num_pdfs
        for values, pdf in zip((stayed, came), pdfs, strict=True):
            share = (values * active).to(outputs.dtype)
            result.view(-1).index_add_(0, (cells + pdf).view(-1), share.view(-1))
    return result


def _emissions(hmm: Hmm, utterance: Tensor, outputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs of the entered states and of the loops, (T, S); over padding a state keeps what it has."""
    device, frames = outputs.device, outputs.shape[1]
    padding = torch.arange(frames, device=device)[:, None] >= lengths[utterance]

    def pick(pdfs: Tensor, log_prob: Tensor | None, otherwise: float) -> Tensor:
        pdfs = pdfs.to(device)
        values = outputs[utterance, :, pdfs.clamp(min=0)].t().contiguous()
        if log_prob is not None and bool(log_prob[hmm.loop_pdf >= 0].any()):  # mostly they are 0
            values = values.double() + log_prob.to(device).double().clamp(min=IMPOSSIBLE)
        values[:, pdfs < 0] = IMPOSSIBLE
        return values.masked_fill_(padding, otherwise)

    return pick(hmm.entry_pdf, None, IMPOSSIBLE), pick(hmm.loop_pdf, hmm.loop_log_prob, 0.0)
