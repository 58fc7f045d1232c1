"""I-vectors of utterances: online as Kaldi's ivector-extract-online2, or offline.

Online, the estimate at frame t uses the frames up to t and what is remembered of the speaker's
earlier utterances: the statistics Q = sum of posterior U_i and L = sum of posterior
M_i' Sigma_i^-1 f, and the sums of frames for mean normalisation.  The i-vector solves
(Q + s I) x = L + s p e_0, where s is the weight of the prior; what is given out is x - p e_0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sertools.features.ivector.extractor import Tables, solve
from sertools.features.ivector.frames import Frames
from sertools.features.ivector.model import IvectorModel
from sertools.features.ivector.ubm import Posteriors

Mode = Literal["online", "utterance", "speaker"]
# estimates made at once: their systems (40 kB each at dimension 100) stay in the processor's cache
BLOCKS = 64


@dataclass(frozen=True)
class ExtractionConfig:
    """How i-vectors are extracted; Kaldi's names and defaults.

    Attributes:
        mode: online (an estimate every ``period`` frames, from the past only), utterance (one of
            each utterance alone) or speaker (one of all the utterances of a speaker).
        period: frames between estimates.
        max_remembered_frames: earlier utterances of the speaker count for at most so many frames.
        max_count: where the count (after scaling of posteriors) is larger, the prior grows with
            it, as if there were no more; 0 for never.
    """

    mode: Mode = "online"
    period: int = 10
    max_remembered_frames: float = 1000.0
    max_count: float = 0.0

    def __post_init__(self) -> None:
        if self.period < 1 or self.max_remembered_frames < 0 or self.max_count < 0:
            raise ValueError("period must be at least 1, max_remembered_frames and max_count at least 0")


@dataclass(frozen=True)
class SpeakerState:
    """What is remembered of a speaker between utterances.

    Attributes:
        frame_sum: float64 (F,), sum of frames, for mean normalisation.
        frame_count: of how many.
        quadratic: (E E,), sum of posterior U_i, without the prior.
        linear: (E,), sum of posterior M_i' Sigma_i^-1 f, without the prior.
        count: sum of posteriors.
    """

    frame_sum: Tensor
    frame_count: float
    quadratic: Tensor
    linear: Tensor
    count: float

    @staticmethod
    def new(model: IvectorModel, device: torch.device | str = "cpu") -> "SpeakerState":
        """Of a speaker not heard before."""
        e = model.dim
        return SpeakerState(
            torch.zeros(model.frontend.feature_dim, dtype=torch.float64), 0.0,
            torch.zeros(e * e, device=device), torch.zeros(e, device=device), 0.0,
        )  # fmt: skip

    def limited(self, frames: float, posterior_scale: float) -> "SpeakerState":
        """The same, with no more weight than ``frames`` frames have."""
        by = 1.0 if self.count == 0 else min(1.0, frames * posterior_scale / self.count)
        keep = 1.0 if self.frame_count == 0 else min(1.0, frames / self.frame_count)
        return SpeakerState(
            self.frame_sum * keep, self.frame_count * keep, self.quadratic * by, self.linear * by, self.count * by
        )


def extract(
    model: IvectorModel,
    utterances: Sequence[Tensor],
    config: ExtractionConfig,
    state: SpeakerState | None = None,
    device: torch.device | str = "cpu",
) -> tuple[list[Tensor], SpeakerState]:
    """I-vectors of some utterances of one speaker, in the order in which they were spoken.

    Args:
        model: see :class:`IvectorModel`.
        utterances: float (T, F) each, T at least 1.
        config: see :class:`ExtractionConfig`.
        state: what an earlier call returned for this speaker; None for a new speaker.
        device: where to compute.

    Returns:
        float32 (ceil(T / period), E) for each utterance, on the CPU, the prior offset subtracted;
        row k belongs to frames k period and after.  Offline, all rows are the same.  And the
        speaker's state after the last utterance.

    Raises:
        ValueError: an utterance is empty, or its features are not of the model's dimension.
        ArithmeticError: features are not finite.
    """
    for utterance in utterances:
        if utterance.dim() != 2 or len(utterance) == 0 or utterance.shape[1] != model.frontend.feature_dim:
            shape = tuple(utterance.shape)
            raise ValueError(f"features of shape {shape}; the model takes (frames, {model.frontend.feature_dim})")
    state = state or SpeakerState.new(model, device)
    if config.mode == "utterance":
        results = [_one(model, [u], config, SpeakerState.new(model, device), device)[0][0] for u in utterances]
        return results, state
    return _one(model, utterances, config, state, device)


def _one(
    model: IvectorModel, utterances: Sequence[Tensor], config: ExtractionConfig, state: SpeakerState,
    device: torch.device | str,
) -> tuple[list[Tensor], SpeakerState]:  # fmt: skip
    frames = Frames.of(utterances, device)
    if not bool(torch.isfinite(frames.values).all()):
        raise ArithmeticError("features are not finite")
    sums, counts, after_sum, after_count = _remembered(frames, config, state)
    as_they_are, normalised = model.frontend(frames, sums, counts)
    posteriors = model.ubm.scorer(normalised).posteriors(normalised, model.posteriors)
    tables = model.extractor.tables_on(device)
    starts, ends = frames.starts.tolist(), (frames.starts + frames.lengths).tolist()
    bounds = torch.searchsorted(posteriors.frames, torch.tensor([*starts, ends[-1]], device=device)).tolist()
    results: list[Tensor] = []
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        chosen = slice(bounds[number], bounds[number + 1])
        own = Posteriors(posteriors.frames[chosen] - start, posteriors.gaussians[chosen], posteriors.values[chosen])
        rows = (end - start + config.period - 1) // config.period
        if config.mode == "online":
            ivectors, state = _online(model, tables, as_they_are[start:end], own, rows, config, state)
            state = state.limited(config.max_remembered_frames, model.posteriors.scale)
            results.append(ivectors.cpu())
        else:
            state = _add_all(tables, as_they_are[start:end], own, state)
    if config.mode != "online":
        ivector = _estimates(model, state.quadratic[None], state.linear[None], [state.count], config).cpu()
        rows_of = ((frames.lengths + config.period - 1) // config.period).tolist()
        results = [ivector.expand(rows, -1) for rows in rows_of]
    return results, SpeakerState(after_sum, after_count, state.quadratic, state.linear, state.count)


def _remembered(frames: Frames, config: ExtractionConfig, state: SpeakerState) -> tuple[Tensor, Tensor, Tensor, float]:
    """Sums and counts of frames before each utterance, and after the last."""
    own = frames.sums().cpu()
    total, count = state.frame_sum, state.frame_count
    sums, counts = [], []
    for number, length in enumerate(frames.lengths.tolist()):
        sums.append(total)
        counts.append(count)
        total, count = total + own[number], count + length
        if count > config.max_remembered_frames:
            keep = config.max_remembered_frames / count
            total, count = total * keep, count * keep
    return torch.stack(sums), torch.tensor(counts, dtype=torch.float64), total, count


def _online(
    model: IvectorModel, tables: Tables, x: Tensor, posteriors: Posteriors, rows: int, config: ExtractionConfig,
    state: SpeakerState,
) -> tuple[Tensor, SpeakerState]:  # fmt: skip
    """Estimates at frames 0, period, 2 period, ...; frames after the last of them are not used."""
    e, results = model.dim, []
    # row k adds the frames after estimate k - 1 up to frame k period
    row = torch.div(posteriors.frames + config.period - 1, config.period, rounding_mode="floor")
    edges = torch.searchsorted(row, torch.arange(0, rows + BLOCKS, BLOCKS, device=row.device).clamp(max=rows)).tolist()
    for block, first in enumerate(range(0, rows, BLOCKS)):
        size = min(BLOCKS, rows - first)
        chosen = slice(edges[block], edges[block + 1])
        quadratic, linear, counts = _sums(
            tables, x, posteriors.frames[chosen], posteriors.gaussians[chosen], posteriors.values[chosen],
            row[chosen] - first, size,
        )  # fmt: skip
        quadratic[0] += state.quadratic
        linear[0] += state.linear
        counts[0] += state.count
        quadratic, linear, counts = quadratic.cumsum(0), linear.cumsum(0), counts.cumsum(0)
        state = SpeakerState(
            state.frame_sum, state.frame_count, quadratic[-1].clone(), linear[-1].clone(), float(counts[-1])
        )
        results.append(_estimates(model, quadratic.view(size, e * e), linear, counts.tolist(), config))
    return torch.cat(results), state


def _add_all(tables: Tables, x: Tensor, posteriors: Posteriors, state: SpeakerState) -> SpeakerState:
    """The state with all frames of an utterance."""
    rows = torch.zeros_like(posteriors.frames)
    quadratic, linear, counts = _sums(tables, x, posteriors.frames, posteriors.gaussians, posteriors.values, rows, 1)
    return SpeakerState(
        state.frame_sum, state.frame_count, state.quadratic + quadratic[0], state.linear + linear[0],
        state.count + float(counts[0]),
    )  # fmt: skip


def _sums(
    tables: Tables, x: Tensor, frames: Tensor, gaussians: Tensor, values: Tensor, rows: Tensor, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Q (size, E E), L (size, E) and counts (size,), float64, of the posteriors of each row."""
    num_gaussians, dim = len(tables.quadratic), x.shape[1]
    counts = x.new_zeros(size, num_gaussians)
    counts.view(-1).index_add_(0, rows * num_gaussians + gaussians, values)
    where = counts.nonzero(as_tuple=True)
    quadratic = _bag(tables.quadratic, where[0], where[1], counts[where], size)
    columns = (gaussians[:, None] * dim + torch.arange(dim, device=x.device)).view(-1)
    weights = (values[:, None] * x[frames]).view(-1)
    linear = _bag(tables.linear, rows.repeat_interleave(dim), columns, weights, size)
    return quadratic, linear, counts.double().sum(1)


def _bag(table: Tensor, rows: Tensor, columns: Tensor, weights: Tensor, size: int) -> Tensor:
    """Sum of weight times row ``columns`` of ``table``, for each of ``size`` sorted ``rows``."""
    offsets = torch.searchsorted(rows, torch.arange(size, device=rows.device))
    return F.embedding_bag(columns, table, offsets, mode="sum", per_sample_weights=weights)


def _estimates(
    model: IvectorModel, quadratic: Tensor, linear: Tensor, counts: Sequence[float], config: ExtractionConfig
) -> Tensor:
    """Solve for i-vectors (B, E), the prior offset subtracted."""
    e = model.dim
    prior = [max(count, config.max_count) / config.max_count if config.max_count > 0 else 1.0 for count in counts]
    scale = torch.tensor(prior, dtype=linear.dtype, device=linear.device)
    matrices = quadratic.view(-1, e, e).clone()
    matrices.diagonal(dim1=1, dim2=2).add_(scale[:, None])
    right = linear.clone()
    right[:, 0] += scale * model.extractor.prior_offset
    result = solve(matrices, right)
    result[:, 0] -= model.extractor.prior_offset
    return result
