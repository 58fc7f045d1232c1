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
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from sertools.lfmmi import dense_log, recorded
from sertools.lfmmi.blocks import BlockMatrix, block_matrix
from sertools.lfmmi.dense_steps import OnDevice, Steps
from sertools.lfmmi.graph import Graph
from sertools.lfmmi.hmm import normal_form

CHUNK_ELEMENTS = {"cpu": 1 << 19, "cuda": 1 << 26}  # emissions made at a time; on CPU they should fit the cache
FLOOR = {torch.float32: 1e-36, torch.float64: 1e-300}  # more than rounding or underflow takes away from a state
LOST = {torch.float32: 1e-4, torch.float64: 1e-9}  # nats that a value may be off; rounding alone makes a tenth of it
RECORDINGS = 16  # of different numbers of utterances, forwards and backwards; each holds some frames of states
LOG_CELLS = 1 << 23  # states times frames done in logarithms at a time
BLOCK_GAIN = 64  # a multiplication in a dense block is so much cheaper than in a sparse matrix


_Tensors = Sequence[Tensor]
_Recordings = OrderedDict[tuple[Any, ...], recorded.Recorded]


class SharedGraph:
    """One graph, ready for forward-backward; moved to devices on demand."""

    def __init__(self, graph: Graph) -> None:
        hmm = normal_form(graph)
        self._graph = graph
        self._hmm = hmm
        self._blocks: BlockMatrix = block_matrix(hmm)
        self._use_blocks = self._blocks.cost <= max(BLOCK_GAIN * len(hmm.sources), 1 << 16)
        self._ready: dict[tuple[torch.device, torch.dtype], OnDevice] = {}
        self._recordings: _Recordings = OrderedDict()

    def _on(self, device: torch.device, dtype: torch.dtype) -> OnDevice:
        if (device, dtype) not in self._ready:
            self._ready[device, dtype] = self._move(device, dtype)
        return self._ready[device, dtype]

    def _move(self, device: torch.device, dtype: torch.dtype) -> OnDevice:
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
        return OnDevice(
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
        recordings = 6 * recorded.FRAMES * slots * utterances if recorded.wanted(torch.device(device)) else 0
        return 4 * ((frames + 1) * slots * utterances + 4 * chunk * cells + recordings)

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
        log_prob, lost, post = _Pass(
            self._on(outputs.device, outputs.dtype), outputs, lengths, leaky, self._recordings
        ).run(posteriors)
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

    def __init__(
        self, graph: OnDevice, outputs: Tensor, lengths: Tensor, leaky: float, recordings: "_Recordings"
    ) -> None:
        self.graph, self.outputs, self.leaky, self.recordings = graph, outputs, leaky, recordings
        self.utterances, self.frames, self.num_pdfs = outputs.shape
        device, dtype = outputs.device, outputs.dtype
        self.slots = len(graph.entry)
        there = lengths.to(device, non_blocking=True)
        self.active = (torch.arange(self.frames, device=device)[:, None] < there).to(dtype)  # (T, N)
        self.highest = outputs.amax(2).t() * self.active if self.frames else self.active  # (T, N)
        self.shortest = int(lengths.min()) if self.utterances else 0
        self.record = graph.sparse is None and recorded.wanted(device)
        self.leak = leaky * graph.initial
        self.start = ((1 + leaky) * graph.initial)[:, None]
        cells = max(self.slots * self.utterances, 1)
        limit = CHUNK_ELEMENTS.get(device.type, CHUNK_ELEMENTS["cuda"])
        self.chunk = max(1, min(self.frames, limit // cells, limit // max(self.num_pdfs * self.utterances, 1)))
        self.entry = torch.where(graph.entry >= 0, graph.entry, torch.full_like(graph.entry, self.num_pdfs))
        self.loop = torch.where(graph.loop >= 0, graph.loop, torch.full_like(graph.loop, self.num_pdfs))

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
        steps = Steps(self.graph, self.leaky, self.utterances, floor)
        for begin in range(0, self.frames, self.chunk):
            end = min(begin + self.chunk, self.frames)
            entry, loop = self.emissions(begin, end)
            for some in self.stretches(begin, end):
                part = slice(some.start - begin, some.stop - begin)
                inputs = states[some.start % kept], entry[part], loop[part], self.active[some]
                if keep:
                    self.do("forward", steps, inputs, (states[some.start + 1 : some.stop + 1], totals[some]))
                else:
                    steps.forward(*inputs, [states[(t + 1) % kept] for t in range(some.start, some.stop)], totals[some])
        end_total = self.graph.final @ states[self.frames % kept]
        log_prob = totals.double().log().sum(0) + self.highest.sum(0, dtype=torch.float64) + end_total.double().log()
        return log_prob, states, totals, end_total

    def backward(self, states: Tensor, totals: Tensor, end_total: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of log Z by a(0), (S', N), and posteriors of pdfs, (N, T, P)."""
        result = torch.zeros_like(self.outputs)
        gradient = (self.graph.final[:, None] / end_total).contiguous()
        steps = Steps(self.graph, self.leaky, self.utterances, 0.0)
        for begin in reversed(range(0, self.frames, self.chunk)):
            end = min(begin + self.chunk, self.frames)
            entry, loop = self.emissions(begin, end)
            inverse = totals[begin:end, None].reciprocal()
            entry *= inverse
            loop *= inverse
            held = torch.empty_like(entry)  # d log Z / d u(t), times tot(t)
            for some in reversed(self.stretches(begin, end)):
                part = slice(some.start - begin, some.stop - begin)
                inputs = gradient, entry[part], loop[part], self.active[some]
                self.do("backward", steps, inputs, (held[part], gradient))
            self.collect(states, held, loop, begin, end, result)
        return gradient, result

    def stretches(self, begin: int, end: int) -> list[slice]:
        """Frames that are done by one call: all, or as many as a recording has."""
        if not self.record:
            return [slice(begin, end)]
        return [slice(t, min(t + recorded.FRAMES, end)) for t in range(begin, end, recorded.FRAMES)]

    def do(self, name: Literal["forward", "backward"], steps: Steps, inputs: _Tensors, outputs: _Tensors) -> None:
        """Some frames, by the recording where there are as many as it has."""
        run = getattr(steps, name)
        if not self.record or len(inputs[1]) < recorded.FRAMES:
            run(*inputs, *outputs)
            return
        key = (name, self.outputs.device, self.outputs.dtype, self.utterances, self.leaky)
        if key not in self.recordings:
            while len(self.recordings) >= RECORDINGS:
                self.recordings.popitem(last=False)
            self.recordings[key] = recorded.Recorded(run, inputs, outputs)
        self.recordings.move_to_end(key)
        self.recordings[key](inputs, outputs)

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
