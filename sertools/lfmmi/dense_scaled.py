"""Forward-backward of a graph for each utterance (the numerators), in scaled probabilities.

float64 holds differences of 700 nats between states, more than matters: a state that is so far
behind comes back only where all better ones turn out to lead nowhere.  That is noticed.  Whatever is
lost is below ``FLOOR``, which is added to every alpha at every frame, and to no beta.  So the sum over
states of alpha times beta counts all floors before a frame, and nothing that was lost behind it: it
grows from a lower bound of the total at the first frame to an upper bound at the last.  Where it is the
same at all frames, the total is right and posteriors are; elsewhere the utterance is done again in
logarithms.  Forwards and backwards run in the same loop, as one graph and its mirror image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sertools.lfmmi import dense_log, recorded
from sertools.lfmmi.graph import Graph
from sertools.lfmmi.hmm import Hmm, concatenate, normal_form

RESCALE_EVERY = 8  # frames; outputs that differ by 80 nats a frame can be held
CHUNK_ELEMENTS = {"cpu": 1 << 16, "cuda": 1 << 22}  # states of frames that are looked at together
TOLERANCE = 1e-5  # nats between the totals of an utterance's frames
FLOOR = 1e-290  # more than rounding or underflow takes away from a state
SMALLEST = 1e-280  # total of a frame; what is below has few digits, and no reciprocal


@dataclass(frozen=True)
class _Padded:
    """Graphs as one vector of N * M states, the mirror image behind them.

    Attributes:
        sources, weights: entering arcs of all 2 * N * M states, (D, 2 N M); padding weighs nothing.
        place: where the states of the concatenated graphs are, (S,).
        width: M.
    """

    sources: Tensor
    weights: Tensor
    place: Tensor
    width: int


def _pad(hmm: Hmm, utterances: int, device: torch.device) -> _Padded:
    counts = torch.bincount(hmm.utterance, minlength=utterances)
    width = int(counts.max())
    rank = torch.arange(hmm.num_states) - (counts.cumsum(0) - counts)[hmm.utterance]
    place = hmm.utterance * width + rank
    half = utterances * width
    sources = torch.cat([place[hmm.sources], place[hmm.targets] + half])
    targets = torch.cat([place[hmm.targets], place[hmm.sources] + half])
    weights = hmm.log_probs.double().exp().repeat(2)
    order = torch.argsort(targets, stable=True)
    targets = targets[order]
    degree = torch.bincount(targets, minlength=2 * half)
    level = torch.arange(len(targets)) - (degree.cumsum(0) - degree)[targets]
    depth = int(degree.max())
    table = torch.zeros(depth, 2 * half, dtype=torch.int64)
    table[level, targets] = sources[order]
    heavy = torch.zeros(depth, 2 * half, dtype=torch.float64)
    heavy[level, targets] = weights[order]
    return _Padded(
        table.to(device, non_blocking=True),
        heavy.to(device, non_blocking=True),
        place.to(device, non_blocking=True),
        width,
    )


def forward_backward(
    graphs: Sequence[Graph], outputs: Tensor, lengths: Tensor, posteriors: bool = True
) -> tuple[Tensor, Tensor | None]:
    """Log-prob of every utterance under its own graph, and the posteriors of pdfs.

    Args:
        graphs: one an utterance.
        outputs: (N, T, P) float32 or float64, finite.
        lengths: (N,) int64, best on the CPU: nothing then waits for the device.
        posteriors: whether to compute them.

    Returns:
        (N,) float64, -inf where no path has the utterance's number of frames; (N, T, P) in the
        dtype of ``outputs`` or None.  Posteriors of padding and of impossible utterances are zero.
    """
    utterances, frames, _ = outputs.shape
    some_end = bool((lengths < frames).any())
    host, lengths = lengths, lengths.to(outputs.device, non_blocking=True)
    hmm = normal_form(*concatenate(graphs))
    padded = _pad(hmm, utterances, outputs.device)
    entry, loop, highest = _emissions(hmm, padded, outputs, lengths, some_end)
    states, scales = _recursion(hmm, padded, entry, loop)
    totals, post = _combine(hmm, padded, outputs, states, scales, loop, posteriors)
    totals[0] = _at_the_start(hmm, padded, states[frames, 1], utterances)
    if post is not None:
        post *= (torch.arange(frames, device=outputs.device) < lengths[:, None])[..., None]
    forward_scale, backward_scale = scales[:, 0].log().cumsum(0), scales[:, 1].log().cumsum(0).flip(0)
    log_probs = totals.log() + forward_scale + backward_scale + highest.sum(0)
    log_prob = log_probs[frames]
    same = (log_probs - log_prob).abs().amax(0) < TOLERANCE * (1 + log_prob.abs() / 1000)
    doubtful = ~(same & (totals.amin(0) > SMALLEST))
    if bool(doubtful.any()):
        chosen = torch.nonzero(doubtful).squeeze(1)
        some = [graphs[i] for i in chosen.tolist()]
        values, part = dense_log.forward_backward(some, outputs[chosen], host.to(chosen.device)[chosen], posteriors)
        log_prob[chosen] = values
        if post is not None and part is not None:
            post[chosen] = part
    return log_prob, post


def working_bytes(utterances: int, frames: int, states: int, device: str) -> int:
    """Alphas and betas of all frames, emissions, and what is looked at together; float64.

    Args:
        utterances, frames: N and T.
        states: of the largest graph.
        device: cpu or cuda, which computes more at a time.
    """
    half = utterances * states
    chunk = min(frames, _chunk(max(half, 1), torch.device(device)))
    return 8 * (4 * (frames + 1) * half + 10 * chunk * half)


def _at_the_start(hmm: Hmm, padded: _Padded, beta: Tensor, utterances: int) -> Tensor:
    """Sum of initial probabilities times beta, (N,): no floor is in it."""
    initial = torch.zeros_like(beta)
    initial[padded.place] = hmm.initial.double().exp().to(beta.device, non_blocking=True)
    return (initial * beta).view(utterances, -1).sum(1)


def _emissions(
    hmm: Hmm, padded: _Padded, outputs: Tensor, lengths: Tensor, some_end: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Exponentiated outputs of entered states and of loops, (T, N M); and what was subtracted before, (T, N).

    Over padding a state keeps what it has; ``some_end``: there is some.
    """
    utterances, frames, _ = outputs.shape
    device = outputs.device
    padding = torch.arange(frames, device=device)[:, None] >= lengths
    highest = outputs.amax(2).t().double().masked_fill(padding, 0.0)
    owner = torch.arange(utterances, device=device).repeat_interleave(padded.width)
    few = outputs.shape[2] <= 2 * padded.width  # then all pdfs are exponentiated, not those of each state
    table = (outputs.double() - highest.t()[..., None]).exp_() if few else outputs

    def pick(of_state: Tensor, log_prob: Tensor | None, otherwise: float) -> Tensor:
        pdfs = torch.full_like(owner, -1).index_copy_(0, padded.place, of_state.to(device, non_blocking=True))
        values = table[owner, :, pdfs.clamp(min=0)].t().contiguous()
        if not few:
            values = (values.double() - highest[:, owner]).exp_()
        if log_prob is not None:
            values[:, padded.place] *= log_prob.double().exp().to(device, non_blocking=True)
        values.masked_fill_(pdfs < 0, 0.0)
        return values.masked_fill_(padding[:, owner], otherwise) if some_end else values

    weights = None if not hmm.loop_log_prob[hmm.loop_pdf >= 0].any() else hmm.loop_log_prob
    return pick(hmm.entry_pdf, None, 0.0), pick(hmm.loop_pdf, weights, 1.0), highest


def _recursion(hmm: Hmm, padded: _Padded, entry: Tensor, loop: Tensor) -> tuple[Tensor, Tensor]:
    """Alphas, and betas in reverse order, each divided by the scales so far.

    Returns:
        (T + 1, 2, N M), and by what each was divided, (T + 1, 2, N).
    """
    frames, half = entry.shape
    utterances = half // padded.width
    states = entry.new_zeros(frames + 1, 2, half)
    scales = entry.new_ones(frames + 1, 2, utterances)
    for direction, log_prob in enumerate((hmm.initial, hmm.final)):
        states[0, direction, padded.place] = log_prob.double().exp().to(entry.device, non_blocking=True)
    flat = states.view(frames + 1, -1)
    floor = torch.zeros_like(flat[0])
    floor[:half] = FLOOR
    room = _Room(floor, torch.empty_like(floor), torch.empty_like(padded.weights), torch.empty_like(floor))
    record = recorded.wanted(entry.device)
    step = recorded.FRAMES if record else _chunk(half, entry.device)
    step = min(step, frames)
    recording = None
    # backwards an arc sees what its target has and emits; forwards it emits where it enters
    sees, emits, stays = entry.new_ones(3, step, 2 * half).unbind(0)
    for begin in range(0, frames, step):
        end = min(begin + step, frames)
        part, mirrored = slice(0, end - begin), slice(frames - end, frames - begin)
        sees[part, half:] = entry[mirrored].flip(0)
        emits[part, :half] = entry[begin:end]
        stays[part, :half] = loop[begin:end]
        stays[part, half:] = loop[mirrored].flip(0)
        inputs = flat[begin], sees[part], emits[part], stays[part]
        outputs = flat[begin + 1 : end + 1], scales[begin + 1 : end + 1]
        if not record or end - begin < recorded.FRAMES:
            _walk(padded, room, begin, *inputs, *outputs)
            continue
        if recording is None:
            recording = recorded.Recorded(partial(_walk, padded, room, 0), inputs, outputs)
        recording(inputs, outputs)
    return states, scales


def _chunk(half: int, device: torch.device) -> int:
    """Frames that are looked at together."""
    return max(1, CHUNK_ELEMENTS.get(device.type, CHUNK_ELEMENTS["cuda"]) // half)


@dataclass(frozen=True)
class _Room:
    """What a frame works with: floors, what arcs see, what each of them brings, and their sums; 2 N M, but for
    ``picked``, (D, 2 N M)."""

    floor: Tensor
    seen: Tensor
    picked: Tensor
    incoming: Tensor


def _walk(
    padded: _Padded,
    room: _Room,
    first: int,
    before: Tensor,
    sees: Tensor,
    emits: Tensor,
    stays: Tensor,
    states: Tensor,
    scales: Tensor,
) -> None:
    """Some frames from number ``first`` on: fills ``states``, (frames, 2 N M), and, of frames that are rescaled,
    ``scales``, (frames, 2, N); no value is looked at."""
    index, utterances = padded.sources.view(-1), scales.shape[2]
    for t, (see, emit, stay, after, scale) in enumerate(zip(sees, emits, stays, states, scales, strict=True), first):
        torch.mul(before, see, out=room.seen)
        torch.index_select(room.seen, 0, index, out=room.picked.view(-1))
        room.picked.mul_(padded.weights)
        torch.sum(room.picked, 0, out=room.incoming)
        torch.addcmul(room.floor, room.incoming, emit, out=room.incoming)
        torch.addcmul(room.incoming, before, stay, out=after)
        if t % RESCALE_EVERY == 0:
            by_utterance = after.view(2, utterances, -1)
            torch.sum(by_utterance, 2, out=scale)
            by_utterance /= scale[..., None]
        before = after


def _combine(
    hmm: Hmm, padded: _Padded, outputs: Tensor, states: Tensor, scales: Tensor, loop: Tensor, posteriors: bool
) -> tuple[Tensor, Tensor | None]:
    """Sums of alpha times beta, (T + 1, N), but for the first; and posteriors of pdfs, (N, T, P).

    Each frame is normalised by its own sum, so the scales cancel.
    """
    utterances, frames, num_pdfs = outputs.shape
    half = loop.shape[1]
    totals = scales.new_empty(frames + 1, utterances)
    cells = [hmm.utterance * num_pdfs + pdf.clamp(min=0) for pdf in (hmm.loop_pdf, hmm.entry_pdf)]
    rows = [cell.to(outputs.device, non_blocking=True) for cell in cells]
    result = outputs.new_zeros(utterances * num_pdfs, frames) if posteriors else None
    step = _chunk(half, outputs.device)
    for begin in range(0, frames, step):
        end = min(begin + step, frames)
        beta = states[frames - end : frames - begin, 1].flip(0).view(end - begin, utterances, -1)
        came = states[begin + 1 : end + 1, 0].view_as(beta) * beta
        total = torch.sum(came, 2, out=totals[begin + 1 : end + 1])
        if result is None:
            continue
        share = total.clamp(min=SMALLEST).reciprocal_()[..., None]
        came *= share
        stayed = states[begin:end, 0].view_as(beta) * loop[begin:end].view_as(beta)
        stayed /= scales[begin + 1 : end + 1, 0, :, None]  # a part of alpha: first, so that nothing can overflow
        beta *= stayed
        beta *= share  # now what stayed
        came.sub_(beta).clamp_(min=0)
        for values, where in zip((beta, came), rows, strict=True):
            by_state = values.view(end - begin, half).to(outputs.dtype).t().contiguous().index_select(0, padded.place)
            result[:, begin:end].index_add_(0, where, by_state)
    if result is None:
        return totals, None
    return totals, result.view(utterances, num_pdfs, frames).transpose(1, 2).contiguous()
