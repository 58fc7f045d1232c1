"""Forward-backward of one graph for all utterances (the denominator), in scaled probabilities.

The leaky HMM and the scaling are those of Kaldi's ``chain-denominator``: with u(t) the
probabilities after frame t, tot(t) their sum and i the initial probabilities,

    a(0) = (1 + leaky) i;   a(t) = u(t) / tot(t) + leaky i;   u(t+1) = e(t) (W a(t)) + l(t) a(t)
    log Z = sum log tot(t) + log(f . a(T))

where W are the arcs between states, e and l the exponentiated outputs of the entered states and of
their loops, f the final probabilities.  One frame is one batched product with the blocks of W
and a few element-wise operations on (states, utterances).

float32 holds differences of 87 nats between states.  Whatever is lost is below a floor, which is added
to every u(t), so that Z can only be too large; the gradient goes back without it.  Its product with
the initial probabilities is the share of Z that owes nothing to the floor: where that is not 1, the
utterance is done again in float64, and where that is not enough either, in logarithms.
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from sertools.lfmmi import dense_log
from sertools.lfmmi.blocks import BlockMatrix, block_matrix
from sertools.lfmmi.graph import Graph
from sertools.lfmmi.hmm import normal_form

CHUNK_ELEMENTS = {"cpu": 1 << 19, "cuda": 1 << 26}  # emissions made at a time; on CPU they should fit the cache
FLOOR = {torch.float32: 1e-36, torch.float64: 1e-300}  # more than rounding or underflow takes away from a state
LOST = {torch.float32: 1e-4, torch.float64: 1e-9}  # nats that a value may be off; rounding alone makes a tenth of it
LOG_CELLS = 1 << 23  # states times frames done in logarithms at a time
BLOCK_GAIN = 64  # a multiplication in a dense block is so much cheaper than in a sparse matrix


@dataclass
class _OnDevice:
    """Tensors of the graph on one device in one dtype; S' slots, G' target slots."""

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


class SharedGraph:
    """One graph, ready for forward-backward; moved to devices on demand."""

    def __init__(self, graph: Graph) -> None:
        hmm = normal_form(graph)
        self._graph = graph
        self._hmm = hmm
        self._blocks: BlockMatrix = block_matrix(hmm)
        self._use_blocks = self._blocks.cost <= max(BLOCK_GAIN * len(hmm.sources), 1 << 16)
        self._ready: dict[tuple[torch.device, torch.dtype], _OnDevice] = {}

    def _on(self, device: torch.device, dtype: torch.dtype) -> _OnDevice:
        if (device, dtype) not in self._ready:
            self._ready[device, dtype] = self._move(device, dtype)
        return self._ready[device, dtype]

    def _move(self, device: torch.device, dtype: torch.dtype) -> _OnDevice:
        hmm, blocks = self._hmm, self._blocks
        sparse = None
        if self._use_blocks:
            states, groups = blocks.state_of_slot, blocks.groups
            target_of_slot, slot_of_target = blocks.target_of_slot, blocks.slot_of_target
        else:
            states, groups = torch.arange(hmm.num_states), ()
            target_of_slot = slot_of_target = states
            shape = (hmm.num_states, hmm.num_states)
            weights = hmm.log_probs.double().exp()
            pair = torch.stack([hmm.targets, hmm.sources])
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*[Ss]parse")  # "in beta", "invariants"
                there, back = (torch.sparse_coo_tensor(i, weights, shape).coalesce() for i in (pair, pair.flip(0)))
                sparse = (there.to_sparse_csr().to(device, dtype), back.to_sparse_csr().to(device, dtype))
        real = states >= 0

        def per_slot(values: Tensor, padding: float) -> Tensor:
            return torch.where(real, values[states.clamp(min=0)], torch.full_like(values[:1], padding))

        loop_weight = per_slot(hmm.loop_log_prob, -torch.inf).double().exp()
        has_loop = per_slot(hmm.loop_pdf, -1) >= 0
        return _OnDevice(
            groups=tuple(group.to(device, dtype).contiguous() for group in groups),
            backward_groups=tuple(group.transpose(1, 2).to(device, dtype).contiguous() for group in groups),
            sparse=sparse,
            target_of_slot=target_of_slot.to(device),
            slot_of_target=slot_of_target.to(device),
            entry=per_slot(hmm.entry_pdf, -1).to(device),
            loop=per_slot(hmm.loop_pdf, -1).to(device),
            loop_weight=None if bool((loop_weight[has_loop] == 1).all()) else loop_weight.to(device, dtype),
            initial=per_slot(hmm.initial, -torch.inf).double().exp().to(device, dtype),
            final=per_slot(hmm.final, -torch.inf).double().exp().to(device, dtype),
        )

    def working_bytes(self, utterances: int, frames: int, outputs: int, device: str) -> int:
        """Alphas of all frames, and emissions and posteriors of as many as are made at a time; float32."""
        slots = max(len(self._blocks.state_of_slot), self._hmm.num_states)
        cells = max(slots, outputs) * utterances
        limit = CHUNK_ELEMENTS.get(device, CHUNK_ELEMENTS["cuda"])
        chunk = max(1, min(frames, limit // max(cells, 1)))
        return 4 * ((frames + 1) * slots * utterances + 4 * chunk * cells)

    def forward_backward(
        self, outputs: Tensor, lengths: Tensor, leaky: float = 0.0, posteriors: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """Log-prob of every utterance and the posteriors of pdfs.

        Args:
            outputs: (N, T, P) float32 or float64, finite.
            lengths: (N,) int64, best on the CPU: nothing then waits for the device.
            leaky: Kaldi's ``leaky-hmm-coefficient``.
            posteriors: whether to compute them.

        Returns:
            (N,) float64, -inf where there is no path; (N, T, P) in the dtype of ``outputs`` or None.
            Posteriors of padding and of impossible utterances are zero.
        """
        log_prob, lost, post = _Pass(self._on(outputs.device, outputs.dtype), outputs, lengths, leaky).run(posteriors)
        doubtful = ~(lost.abs() < LOST[outputs.dtype])
        if bool(doubtful.any()):
            chosen = torch.nonzero(doubtful).squeeze(1)
            some, frames = outputs[chosen], lengths[chosen.to(lengths.device)]
            if outputs.dtype == torch.float64:
                better, part = self._in_logarithms(some, frames, leaky, posteriors)
            else:
                better, part = self.forward_backward(some.double(), frames, leaky, posteriors)
            log_prob[chosen] = better
            if post is not None and part is not None:
                post[chosen] = part.to(post.dtype)
        return log_prob, post

    def _in_logarithms(
        self, outputs: Tensor, lengths: Tensor, leaky: float, posteriors: bool
    ) -> tuple[Tensor, Tensor | None]:
        step = max(1, LOG_CELLS // (self._hmm.num_states * (outputs.shape[1] + 1)))
        parts = [
            dense_log.forward_backward([self._graph] * len(some), some, frames, posteriors, leaky)
            for some, frames in zip(outputs.split(step), lengths.split(step), strict=True)
        ]
        posts = [post for _, post in parts if post is not None]
        return torch.cat([value for value, _ in parts]), torch.cat(posts) if posts else None


class _Pass:
    """One batch on its way forwards and backwards."""

    def __init__(self, graph: _OnDevice, outputs: Tensor, lengths: Tensor, leaky: float) -> None:
        self.graph, self.outputs, self.leaky = graph, outputs, leaky
        self.utterances, self.frames, self.num_pdfs = outputs.shape
        device, dtype = outputs.device, outputs.dtype
        self.slots = len(graph.entry)
        there = lengths.to(device, non_blocking=True)
        self.active = (torch.arange(self.frames, device=device)[:, None] < there).to(dtype)  # (T, N)
        self.highest = outputs.amax(2).t() * self.active if self.frames else self.active  # (T, N)
        self.shortest = int(lengths.min()) if self.utterances else 0
        self.leak = leaky * graph.initial
        self.start = ((1 + leaky) * graph.initial)[:, None]
        cells = max(self.slots * self.utterances, 1)
        limit = CHUNK_ELEMENTS.get(device.type, CHUNK_ELEMENTS["cuda"])
        self.chunk = max(1, min(self.frames, limit // cells, limit // max(self.num_pdfs * self.utterances, 1)))
        self.entry = torch.where(graph.entry >= 0, graph.entry, torch.full_like(graph.entry, self.num_pdfs))
        self.loop = torch.where(graph.loop >= 0, graph.loop, torch.full_like(graph.loop, self.num_pdfs))
        self.product = outputs.new_empty(len(graph.slot_of_target), self.utterances)
        self.product_parts = self.parts(self.product, 1)

    def emissions(self, begin: int, end: int) -> tuple[Tensor, Tensor]:
        """e and l of frames begin to end, (frames, slots, N).  Over padding a state keeps what it has."""
        shifted = self.outputs[:, begin:end].permute(1, 2, 0) - self.highest[begin:end, None]
        table = self.outputs.new_zeros(end - begin, self.num_pdfs + 1, self.utterances)  # the last row: no such pdf
        torch.exp(shifted, out=table[:, :-1])
        keep = table
        if end > self.shortest:
            active = self.active[begin:end, None]
            table = table * active
            keep = table + (1 - active)
        entry, loop = table.index_select(1, self.entry), keep.index_select(1, self.loop)
        if self.graph.loop_weight is not None:
            weight = self.graph.loop_weight[:, None]
            loop *= weight if end <= self.shortest else weight * active + (1 - active)
        return entry, loop

    def parts(self, vector: Tensor, size: int) -> list[Tensor]:
        """Views of a vector over slots (``size`` 2) or target slots (1) as the groups' blocks."""
        views, begin = [], 0
        for weights in self.graph.groups:
            blocks, length = weights.shape[0], weights.shape[size]
            views.append(vector[begin : begin + blocks * length].view(blocks, length, -1))
            begin += blocks * length
        return views

    def forward_product(self, vector: Tensor) -> Tensor:
        """W times a vector over slots, (target slots, N)."""
        graph = self.graph
        if graph.sparse is not None:
            return torch.mm(graph.sparse[0], vector)
        for weights, source, target in zip(graph.groups, self.parts(vector, 2), self.product_parts, strict=True):
            torch.bmm(weights, source, out=target)
        return self.product

    def run(self, posteriors: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        """Log-probs with floors, how many nats these make at most, and posteriors where asked for."""
        log_prob, states, totals, end_total = self.forward(FLOOR[self.outputs.dtype], posteriors)
        if not posteriors:
            return log_prob, log_prob - self.forward(0.0, False)[0], None
        start, post = self.backward(states, totals, end_total)
        return log_prob, (self.start * start).sum(0).double().log(), post

    def forward(self, floor: float, keep: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Log-probs (N,) float64, a(t) of all frames or the last two, tot(t), and f . a(T)."""
        kept = self.frames + 1 if keep else 2
        states = self.outputs.new_empty(kept, self.slots, self.utterances)
        totals = self.outputs.new_ones(self.frames, self.utterances)
        states[0] = self.start + floor
        entering = self.outputs.new_empty(self.slots, self.utterances)
        lowest = self.outputs.new_full((), floor)
        for begin in range(0, self.frames, self.chunk):
            end = min(begin + self.chunk, self.frames)
            for t, entry, loop in zip(range(begin, end), *self.emissions(begin, end), strict=True):
                before, after = states[t % kept], states[(t + 1) % kept]
                product = self.forward_product(before)
                torch.index_select(product, 0, self.graph.target_of_slot, out=entering)
                torch.addcmul(lowest, entering, entry, out=entering)
                torch.addcmul(entering, before, loop, out=after)
                torch.sum(after, 0, out=totals[t])
                after /= totals[t]
                if self.leaky:
                    after.addr_(self.leak, self.active[t])
        end_total = self.graph.final @ states[self.frames % kept]
        log_prob = totals.double().log().sum(0) + self.highest.sum(0, dtype=torch.float64) + end_total.double().log()
        return log_prob, states, totals, end_total

    def backward(self, states: Tensor, totals: Tensor, end_total: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of log Z by a(0), (S', N), and posteriors of pdfs, (N, T, P)."""
        graph = self.graph
        result = torch.zeros_like(self.outputs)
        gradient = (graph.final[:, None] / end_total).contiguous()
        weighted = torch.empty_like(gradient)
        gradient_parts = self.parts(gradient, 2)
        covered = sum(part.shape[0] * part.shape[1] for part in gradient_parts)
        for begin in reversed(range(0, self.frames, self.chunk)):
            end = min(begin + self.chunk, self.frames)
            entry, loop = self.emissions(begin, end)
            inverse = totals[begin:end, None].reciprocal()
            entry *= inverse
            loop *= inverse
            held = torch.empty_like(entry)  # d log Z / d u(t), times tot(t)
            for t in reversed(range(begin, end)):
                now = held[t - begin]
                if self.leaky:
                    torch.add(gradient, (self.leak @ gradient) * self.active[t], out=now)
                else:
                    now.copy_(gradient)
                torch.mul(now, entry[t - begin], out=weighted)
                if graph.sparse is not None:
                    gradient = torch.mm(graph.sparse[1], weighted)
                else:
                    torch.index_select(weighted, 0, graph.slot_of_target, out=self.product)
                    for weights, target, source in zip(
                        graph.backward_groups, self.product_parts, gradient_parts, strict=True
                    ):
                        torch.bmm(weights, target, out=source)
                    if covered < self.slots:
                        gradient[covered:] = 0  # states that nothing but a loop leaves
                gradient.addcmul_(now, loop[t - begin])
            self.collect(states, held, loop, begin, end, result)
        return gradient, result

    def collect(self, states: Tensor, held: Tensor, loop: Tensor, begin: int, end: int, result: Tensor) -> None:
        """Posteriors of states, and from them those of pdfs, of a chunk of frames."""
        after = states[begin + 1 : end + 1]
        if self.leaky:
            after = after - self.leak[:, None] * self.active[begin:end, None]
        loop *= held
        loop *= states[begin:end]
        held *= after
        held -= loop  # what entered, since both make up u(t)
        table = self.outputs.new_zeros(self.num_pdfs + 1, end - begin, self.utterances)
        table.index_add_(0, self.entry, held.clamp_(min=0).transpose(0, 1).contiguous())
        table.index_add_(0, self.loop, loop.transpose(0, 1).contiguous())
        result[:, begin:end] = table[:-1].permute(2, 1, 0) * self.active[begin:end].t()[..., None]
