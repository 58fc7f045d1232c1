"""The denominator's recursion over some frames, forwards and backwards (the formulas: ``dense_shared``).

Both are functions of tensors that fill tensors, without a look at a value, so that a GPU can be given them as a
recording.  S' slots, G' target slots, N utterances, K frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class OnDevice:
    """Tensors of the graph on one device in one dtype."""

    groups: tuple[Tensor, ...]
    backward_groups: tuple[Tensor, ...]
    sparse: tuple[Tensor, Tensor] | None
    target_of_slot: Tensor
    slot_of_target: Tensor
    entry: Tensor
    loop: Tensor
    loop_weight: Tensor | None
    initial: Tensor
    final: Tensor


class Steps:
    """The recursion for N utterances, and where it keeps what lies between.

    Args:
        graph: of all utterances.
        leaky: Kaldi's ``leaky-hmm-coefficient``.
        utterances: N.
        floor: added to every u(t).
    """

    def __init__(self, graph: OnDevice, leaky: float, utterances: int, floor: float) -> None:
        self.graph = graph
        self.leaky = leaky
        self._leak = leaky * graph.initial
        new = graph.initial.new_empty
        self._floor = graph.initial.new_full((), floor)
        self._entering = new(len(graph.entry), utterances)
        self._product = new(len(graph.slot_of_target), utterances)
        self._product_parts = self._parts(self._product, 1)

    def forward(
        self,
        before: Tensor,
        entry: Tensor,
        loop: Tensor,
        active: Tensor,
        states: Sequence[Tensor] | Tensor,
        totals: Tensor,
    ) -> None:
        """a(t) and tot(t) of K frames.

        Args:
            before: a of the frame before, (S', N).
            entry, loop: e and l, (K, S', N).
            active: 1 where an utterance has not ended, (K, N).
            states, totals: filled; (K, S', N) and (K, N).
        """
        for enters, stays, on, after, total in zip(entry, loop, active, states, totals, strict=True):
            torch.index_select(self._forward_product(before), 0, self.graph.target_of_slot, out=self._entering)
            torch.addcmul(self._floor, self._entering, enters, out=self._entering)
            torch.addcmul(self._entering, before, stays, out=after)
            torch.sum(after, 0, out=total)
            after /= total
            if self.leaky:
                after.addr_(self._leak, on)
            before = after

    def backward(
        self, behind: Tensor, entry: Tensor, loop: Tensor, active: Tensor, held: Tensor, gradient: Tensor
    ) -> None:
        """Derivatives of log Z by u(t), times tot(t), of K frames, and by what the first of them was given.

        Args:
            behind: derivative by a of the last frame, (S', N).
            entry, loop: e and l divided by tot, (K, S', N).
            active: 1 where an utterance has not ended, (K, N).
            held, gradient: filled; (K, S', N) and (S', N).  ``gradient`` may be ``behind``.
        """
        graph = self.graph
        gradient.copy_(behind)
        parts = self._parts(gradient, 2)
        covered = sum(part.shape[0] * part.shape[1] for part in parts)
        for enters, stays, on, now in reversed(list(zip(entry, loop, active, held, strict=True))):
            if self.leaky:
                torch.add(gradient, (self._leak @ gradient) * on, out=now)
            else:
                now.copy_(gradient)
            torch.mul(now, enters, out=self._entering)
            if graph.sparse is not None:
                gradient.copy_(torch.mm(graph.sparse[1], self._entering))
            else:
                torch.index_select(self._entering, 0, graph.slot_of_target, out=self._product)
                for weights, target, source in zip(graph.backward_groups, self._product_parts, parts, strict=True):
                    torch.bmm(weights, target, out=source)
                if covered < len(gradient):
                    gradient[covered:] = 0  # states that nothing but a loop leaves
            gradient.addcmul_(now, stays)

    def _forward_product(self, vector: Tensor) -> Tensor:
        """W times a vector over slots, (target slots, N)."""
        if self.graph.sparse is not None:
            return torch.mm(self.graph.sparse[0], vector)
        for weights, source, target in zip(self.graph.groups, self._parts(vector, 2), self._product_parts, strict=True):
            torch.bmm(weights, source, out=target)
        return self._product

    def _parts(self, vector: Tensor, size: int) -> list[Tensor]:
        """Views of a vector over slots (``size`` 2) or target slots (1) as the groups' blocks."""
        views, begin = [], 0
        for weights in self.graph.groups:
            blocks, length = weights.shape[0], weights.shape[size]
            views.append(vector[begin : begin + blocks * length].view(blocks, length, -1))
            begin += blocks * length
        return views
