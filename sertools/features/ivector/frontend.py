"""What an i-vector extractor sees of MFCC frames: online mean normalisation, splicing, PCA or LDA.

The Gaussians' posteriors are computed from normalised frames, the statistics from frames as they
are (Kaldi's ivector-extract-online2): the mean that normalisation takes away is part of what an
i-vector has to tell.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sertools.features.ivector.frames import Frames


@dataclass(frozen=True)
class CmvnConfig:
    """Online mean normalisation; Kaldi's ``--cmn-window``, ``--speaker-frames``, ``--global-frames``.

    Attributes:
        window: the mean is over the last so many frames, the current one among them.
        speaker_frames: while there are fewer, at most so many of the speaker's earlier
            utterances count too,
        global_frames: and then at most so many of the training data's mean.
    """

    window: int = 600
    speaker_frames: int = 600
    global_frames: int = 200

    def __post_init__(self) -> None:
        if min(self.window, self.global_frames) < 1 or self.speaker_frames < 0:
            raise ValueError("window and global_frames must be at least 1, speaker_frames at least 0")


def normalise_online(
    frames: Frames,
    global_mean: Tensor,
    config: CmvnConfig,
    speaker_sums: Tensor | None = None,
    speaker_counts: Tensor | None = None,
) -> Tensor:
    """Subtract a running mean that looks back only (Kaldi's OnlineCmvn, norm-vars false).

    Args:
        frames: (T, F).
        global_mean: float64 (F,), of the training data.
        config: see :class:`CmvnConfig`.
        speaker_sums: float64 (N, F), sum of frames of the speaker's utterances before each; None
            where each utterance is its own speaker.
        speaker_counts: float64 (N,), of how many frames.

    Returns:
        float32 (T, F).
    """
    x = frames.values.double()
    device = x.device
    cumulated = torch.cat([x.new_zeros(1, x.shape[1]), x.cumsum(0)])
    last = torch.arange(1, len(x) + 1, device=device)
    first = torch.maximum(frames.per_frame(frames.starts.to(device)), last - config.window)
    sums, counts = cumulated[last] - cumulated[first], (last - first).double()
    if speaker_sums is not None and speaker_counts is not None:
        available = frames.per_frame(speaker_counts.to(device)).clamp(max=config.speaker_frames)
        taken = torch.minimum(config.window - counts, available).clamp(min=0.0)
        means = speaker_sums.to(device) / speaker_counts.to(device).clamp(min=1.0)[:, None]
        sums += taken[:, None] * frames.per_frame(means)
        counts += taken
    taken = (config.window - counts).clamp(min=0.0, max=config.global_frames)
    sums += taken[:, None] * global_mean.to(device)
    counts += taken
    return (x - sums / counts[:, None]).float()


def splice(values: Tensor, frames: Frames, context: int) -> Tensor:
    """Put ``context`` frames of each side beside each frame; the edges are repeated.

    Args:
        values: (T, F), of the utterances of ``frames``.

    Returns:
        (T, (2 context + 1) F), earliest frame first.
    """
    width, dim = 2 * context + 1, values.shape[1]
    padded = values[_padded_index(frames, context).to(values.device)]
    # every row of the result is a stretch of memory; rows that cross two utterances are dropped
    rows = padded.as_strided((len(padded) - width + 1, width * dim), (dim, 1))
    return rows[(torch.arange(len(values)) + 2 * context * frames.utterance_of_frame()).to(values.device)]


def _padded_index(frames: Frames, context: int) -> Tensor:
    """Indices that give each utterance with its first and last frame repeated ``context`` times more."""
    lengths = frames.lengths + 2 * context
    starts = torch.cumsum(lengths, 0) - lengths
    within = torch.arange(int(lengths.sum())) - starts.repeat_interleave(lengths) - context
    last = (frames.lengths - 1).repeat_interleave(lengths)
    return torch.minimum(within.clamp(min=0), last) + frames.starts.repeat_interleave(lengths)


@dataclass(frozen=True)
class Frontend:
    """From MFCC frames to what Gaussians see.

    Attributes:
        global_mean: float64 (F,), mean of the training data's frames.
        transform: float64 (D, (2 context + 1) F), PCA or LDA.
        offset: float64 (D,), added after the transform.
        context: frames spliced on each side.
        cmvn: online mean normalisation.
    """

    global_mean: Tensor
    transform: Tensor
    offset: Tensor
    context: int
    cmvn: CmvnConfig

    @property
    def dim(self) -> int:
        """D."""
        return len(self.offset)

    @property
    def feature_dim(self) -> int:
        """F."""
        return len(self.global_mean)

    def __call__(
        self, frames: Frames, speaker_sums: Tensor | None = None, speaker_counts: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Transform frames as they are, and frames normalised online.

        Returns:
            Both float32 (T, D): for the statistics, and for the posteriors.
        """
        transform, offset, mean = self._on(frames.values)
        normalised = normalise_online(frames, mean, self.cmvn, speaker_sums, speaker_counts)
        as_they_are, normalised = (
            torch.addmm(offset, splice(values, frames, self.context), transform)
            for values in (frames.values, normalised)
        )
        return as_they_are, normalised

    @cached_property
    def _there(self) -> dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor, Tensor]]:
        return {}

    def _on(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Transform and offset of the type of ``like``, and the mean, float64; on its device, copied once."""
        where = like.device, like.dtype
        if where not in self._there:
            self._there[where] = self.transform.to(like).t(), self.offset.to(like), self.global_mean.to(like.device)
        return self._there[where]


class ScatterStatistics:
    """Count, sum and scatter of vectors, and of the means of their classes, in float64."""

    def __init__(self, dim: int) -> None:
        self.count = 0.0
        self.sum = torch.zeros(dim, dtype=torch.float64)
        self.scatter = torch.zeros(dim, dim, dtype=torch.float64)
        self.classes: dict[int, tuple[float, Tensor]] = {}

    def add(self, values: Tensor, labels: Tensor | None = None) -> None:
        """Add vectors (T, F); for LDA with the class of each, int64 (T,)."""
        x = values.double().cpu()
        self.count += len(x)
        self.sum += x.sum(0)
        self.scatter += x.t() @ x
        for label in labels.unique().tolist() if labels is not None else ():
            chosen = x[labels == label] if labels is not None else x
            count, total = self.classes.get(label, (0.0, torch.zeros_like(self.sum)))
            self.classes[label] = (count + len(chosen), total + chosen.sum(0))

    def merge(self, other: "ScatterStatistics") -> None:
        """Add the statistics of other vectors."""
        self.count += other.count
        self.sum += other.sum
        self.scatter += other.scatter
        for label, (count, total) in other.classes.items():
            old, old_total = self.classes.get(label, (0.0, torch.zeros_like(self.sum)))
            self.classes[label] = (old + count, old_total + total)

    @property
    def mean(self) -> Tensor:
        """(F,)."""
        return self.sum / self.count

    @property
    def covariance(self) -> Tensor:
        """(F, F)."""
        return self.scatter / self.count - torch.outer(self.mean, self.mean)

    @property
    def between_covariance(self) -> Tensor:
        """(F, F): covariance of the classes' means."""
        weighted = sum(
            (torch.outer(total, total) / count for count, total in self.classes.values()),
            torch.zeros_like(self.scatter),
        )
        return weighted / self.count - torch.outer(self.mean, self.mean)


def pca(statistics: ScatterStatistics, dim: int) -> tuple[Tensor, Tensor]:
    """Principal components with mean 0 and variance 1 (Kaldi's est-pca, normalised).

    Args:
        statistics: of spliced frames.
        dim: components kept.

    Returns:
        Transform (dim, F) and offset (dim,), float64.
    """
    values, vectors = torch.linalg.eigh(statistics.covariance)
    values, vectors = values.flip(0)[:dim], vectors.flip(1)[:, :dim]
    # digital silence has no variance at all
    transform = vectors.t() / values.clamp(min=1e-10 * float(values[0]) + 1e-20).sqrt()[:, None]
    return transform, -transform @ statistics.mean


def lda(statistics: ScatterStatistics, dim: int) -> tuple[Tensor, Tensor]:
    """Linear discriminants with within-class covariance I, and mean 0 (Haeb-Umbach and Ney 1992).

    Args:
        statistics: of spliced frames with the class of each.
        dim: directions kept.

    Returns:
        Transform (dim, F) and offset (dim,), float64.

    Raises:
        ValueError: fewer than two classes.
    """
    if len(statistics.classes) < 2:
        raise ValueError(f"LDA needs frames of two classes or more, not {len(statistics.classes)}")
    between = statistics.between_covariance
    within = statistics.covariance - between
    values, vectors = torch.linalg.eigh(within)
    whiten = vectors.t() / values.clamp(min=1e-7 * float(values[-1])).sqrt()[:, None]
    _, directions = torch.linalg.eigh(whiten @ between @ whiten.t())
    transform = directions.flip(1)[:, :dim].t() @ whiten
    return transform, -transform @ statistics.mean
