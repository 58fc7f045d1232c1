"""Kaldi's leaky HMM in logarithms: from every state some probability goes to the initial distribution."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sertools.lfmmi.hmm import Hmm

IMPOSSIBLE = -1e30  # log of zero that can be added to itself


def by_utterance(values: Tensor, utterance: Tensor, utterances: int) -> Tensor:
    """Log of the sum of exponentials over the states of each utterance; (..., S) to (..., N).

    ``utterance`` is ascending.  Where all is impossible, the result is ``IMPOSSIBLE`` or below.
    """
    counts = torch.bincount(utterance, minlength=utterances)
    rank = torch.arange(len(utterance), device=values.device) - (counts.cumsum(0) - counts)[utterance]
    shape = *values.shape[:-1], utterances, int(counts.max())
    table = torch.full(shape, IMPOSSIBLE, dtype=torch.float64, device=values.device)
    table[..., utterance, rank] = values
    return table.logsumexp(-1)


@dataclass(frozen=True)
class Leak:
    """The step after every frame of an utterance, and before the first.

    Attributes:
        to: log-probs that states receive, (S,) float64.
        utterance: number of each state's utterance, (S,).
        lengths: frames of the utterances, (N,).
    """

    to: Tensor
    utterance: Tensor
    lengths: Tensor

    def _active(self, after: Tensor) -> Tensor:
        return after[:, None] <= self.lengths[self.utterance]

    def forwards(self, alpha: Tensor, after: Tensor) -> Tensor:
        """Alphas (K, S) after so many frames (K,), leaked."""
        total = by_utterance(alpha, self.utterance, len(self.lengths))[..., self.utterance]
        return torch.where(self._active(after), torch.logaddexp(alpha, total + self.to), alpha)

    def backwards(self, beta: Tensor, after: Tensor) -> Tensor:
        """Betas (K, S) behind the leak, as they are before it."""
        total = by_utterance(beta + self.to, self.utterance, len(self.lengths))[..., self.utterance]
        return torch.where(self._active(after), torch.logaddexp(beta, total), beta)


def make_leak(hmm: Hmm, lengths: Tensor, leaky: float) -> Leak | None:
    """The leak of a coefficient, on the device of ``lengths``; None for 0."""
    if not leaky:
        return None
    to = hmm.initial.double().add(torch.tensor(leaky, dtype=torch.float64).log()).clamp(min=IMPOSSIBLE)
    return Leak(to.to(lengths.device), hmm.utterance.to(lengths.device), lengths)
