"""The LF-MMI objective with its regularisers, as a loss to be differentiated."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sertools.errors import UserError
from sertools.lfmmi import dense_scaled, k2_engine
from sertools.lfmmi.dense_shared import SharedGraph
from sertools.lfmmi.graph import Graph


@dataclass(frozen=True)
class LfmmiConfig:
    """Options of the loss, named as in Kaldi's ``--chain.*``.

    Attributes:
        engine: ``dense`` (own, any torch, exact) or ``k2``.
        leaky_hmm: ``leaky-hmm-coefficient``: from every state, at every frame, so much of the
            probability goes to the initial distribution; ``dense`` only.
        xent_regularize: weight of the cross entropy of the second head.
        l2_regularize: half of it times the squared outputs is added to the loss.
        out_of_range: ``out-of-range-regularize``: half of it times the square of what exceeds
            ``output_limit``.  Kaldi adds twice that in every second minibatch, chosen at random.
        output_limit: the range is from minus to plus this.
        k2_beam: ``output_beam`` of k2; the default prunes nothing that float32 can tell.
    """

    engine: Literal["dense", "k2"] = "dense"
    leaky_hmm: float = 0.1
    xent_regularize: float = 0.1
    l2_regularize: float = 5e-5
    out_of_range: float = 0.01
    output_limit: float = 30.0
    k2_beam: float = 1000.0

    def __post_init__(self) -> None:
        if self.engine not in ("dense", "k2"):
            raise UserError(f"engine must be dense or k2, not {self.engine!r}")
        if self.engine == "k2" and self.leaky_hmm != 0:
            raise UserError("engine k2 has no leaky HMM: set leaky_hmm to 0, or engine to dense")
        for name in ("leaky_hmm", "xent_regularize", "l2_regularize", "out_of_range"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"{name} must be 0 or more, not {getattr(self, name)}")
        if self.output_limit <= 0 or self.k2_beam <= 0:
            raise UserError("output_limit and k2_beam must be above 0")


@dataclass(frozen=True)
class LfmmiValue:
    """What a batch gave.  All but ``loss`` is detached; nats are per output frame where it says mean.

    Attributes:
        loss: scalar, to be differentiated: mean over the frames of possible utterances of
            -(numerator - denominator) and the regularisers; 0 where no utterance is possible.
        objective: scalar, mean of numerator - denominator (Kaldi's "objf", at most 0 without leaky HMM).
        xent: scalar, mean of the cross-entropy objective of the second head, not scaled; 0 without one.
        numerator, denominator: log-probs; (N,) float64.  -inf or a number of no meaning where impossible.
        frames: frames of possible utterances.
        impossible: (N,) bool, on the CPU: no numerator, or no path of that many frames.  These contribute nothing.
    """

    loss: Tensor
    objective: Tensor
    xent: Tensor
    numerator: Tensor
    denominator: Tensor
    frames: int
    impossible: Tensor


class _WithGradient(torch.autograd.Function):
    """A value whose gradient is already known."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        ctx.dtype = inputs.dtype
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *received: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return (gradient * received[0]).to(ctx.dtype), None, None


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """No autocast and no TF32: probabilities need all 24 bits."""
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed


class Lfmmi:
    """LF-MMI with one denominator graph for all utterances.

    Args:
        denominator: as :func:`~sertools.lfmmi.make_denominator` makes it.
        config: options.

    Raises:
        MissingPackage: the engine is k2 and k2 is not installed.
    """

    def __init__(self, denominator: Graph, config: LfmmiConfig) -> None:
        self.config = config
        self.num_pdfs = int(denominator.pdfs.max()) + 1
        if config.engine == "k2":
            self._k2 = k2_engine.to_k2(denominator)
        else:
            self._shared = SharedGraph(denominator)

    def __call__(
        self,
        outputs: Tensor,
        lengths: Tensor,
        numerators: Sequence[Graph | None],
        xent_outputs: Tensor | None = None,
    ) -> LfmmiValue:
        """Loss of a batch.

        Args:
            outputs: of the network, pseudo log-likelihoods; (N, T, P), any floating dtype.
                Computed in float32 (float64 if they are).
            lengths: output frames of each utterance; (N,) integers, best on the CPU: nothing then waits for the
                device.  What lies behind is not read.
            numerators: a graph an utterance, None where there is none.
            xent_outputs: of the second head, before softmax; (N, T, P); needed if ``xent_regularize`` > 0
                is to have an effect.

        Raises:
            ValueError: shapes do not fit, or a graph has a pdf that the network has no output for.
            FloatingPointError: an output of a frame that counts is NaN or infinite.
        """
        lengths = self._check(outputs, lengths, numerators, xent_outputs)
        there = lengths.to(outputs.device, non_blocking=True)
        differentiate = torch.is_grad_enabled() and outputs.requires_grad
        needs_xent = xent_outputs is not None
        with _full_precision(outputs.device):
            scores = outputs.detach()
            scores = scores if scores.dtype == torch.float64 else scores.float()
            whole = int(lengths.min()) == outputs.shape[1]
            mask = torch.arange(outputs.shape[1], device=outputs.device) < there[:, None]
            scores = _only(scores, None if whole else mask)
            _check_finite(scores)
            numerator, post = self._numerator(scores, lengths, numerators, differentiate or needs_xent)
            denominator, gradient = self._denominator(scores, lengths, differentiate)
            possible = torch.isfinite(numerator) & torch.isfinite(denominator)
            impossible = ~possible.cpu()
            frames = int(lengths.masked_fill(impossible, 0).sum())
            counted = None if whole and not bool(impossible.any()) else mask & possible[:, None]
            difference = torch.where(possible, numerator - denominator, torch.zeros_like(numerator))
            objective = difference.sum() / max(frames, 1)
            value = -objective.to(scores.dtype)
            value = value + self._regularise(_only(scores, counted), gradient, frames)
            if gradient is not None and post is not None:
                gradient = _only(gradient.sub_(post), counted).div_(max(frames, 1))
        loss = _WithGradient.apply(outputs, value, gradient) if differentiate else value
        xent = value.new_zeros(())
        if xent_outputs is not None and post is not None:
            xent_loss, xent = _cross_entropy(xent_outputs, post, counted, frames)
            loss = loss + self.config.xent_regularize * xent_loss
        return LfmmiValue(loss, objective, xent, numerator, denominator, frames, impossible)

    def working_bytes(self, utterances: int, frames: int, outputs: int, device: str = "cpu", states: int = 0) -> int:
        """About what a batch takes while it is computed, in float32, besides its gradient.

        Args:
            utterances, frames, outputs: N, T and P.
            device: cpu or cuda, which computes more at a time.
            states: of the largest numerator.
        """
        scores = 4 * utterances * frames * outputs
        # the network's outputs, masked and for the second head, and both posteriors
        total = 4 * scores
        if self.config.engine == "dense":
            # one after the other
            total += max(
                self._shared.working_bytes(utterances, frames, outputs, device),
                dense_scaled.working_bytes(utterances, frames, states, device),
            )
        return total

    def _check(
        self, outputs: Tensor, lengths: Tensor, numerators: Sequence[Graph | None], xent_outputs: Tensor | None
    ) -> Tensor:
        if outputs.dim() != 3 or not outputs.is_floating_point():
            raise ValueError(f"outputs must be floating (N, T, P), not {outputs.dtype} {tuple(outputs.shape)}")
        if not outputs.numel():
            raise ValueError(f"outputs are empty: {tuple(outputs.shape)}")
        if not len(outputs) == len(lengths) == len(numerators):
            raise ValueError(f"{len(outputs)} outputs, {len(lengths)} lengths, {len(numerators)} numerators")
        if xent_outputs is not None and xent_outputs.shape != outputs.shape:
            raise ValueError(f"xent_outputs are {tuple(xent_outputs.shape)}, outputs {tuple(outputs.shape)}")
        lengths = lengths.to("cpu", torch.int64)
        if len(lengths) and not 0 <= int(lengths.min()) <= int(lengths.max()) <= outputs.shape[1]:
            raise ValueError(f"lengths are {lengths.tolist()}, but outputs have {outputs.shape[1]} frames")
        highest = max([self.num_pdfs, *(int(graph.pdfs.max()) + 1 for graph in numerators if graph is not None)])
        if highest > outputs.shape[2]:
            raise ValueError(f"the graphs have {highest} pdfs, but the network {outputs.shape[2]} outputs")
        return lengths

    def _numerator(
        self, scores: Tensor, lengths: Tensor, numerators: Sequence[Graph | None], posteriors: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Log-probs (N,), -inf where there is no graph, and posteriors."""
        there = [i for i, graph in enumerate(numerators) if graph is not None]
        graphs = [graph for graph in numerators if graph is not None]
        log_prob = torch.full((len(numerators),), -torch.inf, dtype=torch.float64, device=scores.device)
        post = torch.zeros_like(scores) if posteriors else None
        if not graphs:
            return log_prob, post
        all_there = len(there) == len(numerators)
        chosen = torch.tensor(there)
        some, frames = (scores, lengths) if all_there else (scores[chosen.to(scores.device)], lengths[chosen])
        if self.config.engine == "k2":
            fsas = k2_engine.graphs_to_k2(graphs)
            values, part = k2_engine.forward_backward(fsas, False, some, frames, self.config.k2_beam, posteriors)
        else:
            values, part = dense_scaled.forward_backward(graphs, some, frames, posteriors)
        if all_there:
            return values, None if part is None else part.to(scores.dtype)
        chosen = chosen.to(scores.device)
        log_prob[chosen] = values
        if post is not None and part is not None:
            post[chosen] = part.to(post.dtype)
        return log_prob, post

    def _denominator(self, scores: Tensor, lengths: Tensor, posteriors: bool) -> tuple[Tensor, Tensor | None]:
        """Log-probs (N,) and posteriors."""
        if self.config.engine == "k2":
            return k2_engine.forward_backward(self._k2, True, scores, lengths, self.config.k2_beam, posteriors)
        return self._shared.forward_backward(scores, lengths, self.config.leaky_hmm, posteriors)

    def _regularise(self, scores: Tensor, gradient: Tensor | None, frames: int) -> Tensor:
        """The l2 and out-of-range penalties per frame; their gradients, not divided, are added to ``gradient``."""
        config = self.config
        penalty = scores.new_zeros(())
        if config.l2_regularize:
            penalty = penalty + 0.5 * config.l2_regularize * scores.square().sum()
            if gradient is not None:
                gradient.add_(scores, alpha=config.l2_regularize)
        if config.out_of_range and float(torch.maximum(scores.amax(), -scores.amin())) > config.output_limit:
            excess = scores - scores.clamp(-config.output_limit, config.output_limit)
            penalty = penalty + 0.5 * config.out_of_range * excess.square().sum()
            if gradient is not None:
                gradient.add_(excess, alpha=config.out_of_range)
        return penalty / max(frames, 1)


def _only(values: Tensor, counted: Tensor | None) -> Tensor:
    """(N, T, P) with zeros where frames do not count; all count with None."""
    return values if counted is None else values.masked_fill(~counted[..., None], 0.0)


def _check_finite(scores: Tensor) -> None:
    total = scores.sum(dtype=torch.float64)  # cheaper than to ask each
    if not bool(torch.isfinite(total)):
        bad = ~torch.isfinite(scores)
        utterance, frame, pdf = torch.nonzero(bad)[0].tolist()
        raise FloatingPointError(
            f"the network's output is {scores[utterance, frame, pdf].item()} at utterance {utterance} of the batch, "
            f"frame {frame}, pdf {pdf}: training has diverged (lower the learning rate) or the input is not finite"
        )


def _cross_entropy(outputs: Tensor, post: Tensor, counted: Tensor | None, frames: int) -> tuple[Tensor, Tensor]:
    """-sum of posteriors times log-softmax, per frame, as a loss; and the objective, detached."""
    with torch.no_grad(), torch.autocast(outputs.device.type, enabled=False):
        scores = _only(outputs.detach().to(post.dtype), counted)
        _check_finite(scores)
        post = _only(post, counted)
        log_softmax = scores.log_softmax(2)
        objective = (post * log_softmax).sum() / max(frames, 1)
        gradient = log_softmax.exp_().mul_(post.sum(2, keepdim=True)).sub_(post).div_(max(frames, 1))
    if torch.is_grad_enabled() and outputs.requires_grad:
        return _WithGradient.apply(outputs, -objective, gradient), objective
    return -objective, objective
