"""SpecAugment: stretches of time and bands of frequency hidden in training (Park et al. 2019, arXiv 1904.08779).

Section 2 of the paper, its time masking and frequency masking; without time warping, which it finds to help least.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from sertools.errors import UserError

LIFTER = 22.0
"""Kaldi's ``cepstral-lifter``, with which MFCC are scaled."""


@dataclass(frozen=True)
class SpecAugment:
    """What is hidden.

    Attributes:
        time_masks: stretches of an utterance (m_T of the paper); 0 for none.
        time_width: a stretch has 0 to so many frames (T), each width as likely.
        time_part: and at most so much of the utterance (p; 1 for no such bound).
        frequency_masks: bands (m_F); 0 for none.
        frequency_width: a band has 0 to so many filters (F).
        columns: what the features are: ``cepstra``, as many as filters, of which the bands are hidden, as Kaldi's
            recipes do it (MFCC of ``mfcc.yaml``); or ``bands``: each column is a filter.
    """

    time_masks: int = 2
    time_width: int = 20
    time_part: float = 0.2
    frequency_masks: int = 2
    frequency_width: int = 8
    columns: Literal["cepstra", "bands"] = "cepstra"

    def __post_init__(self) -> None:
        if min(self.time_masks, self.time_width, self.frequency_masks, self.frequency_width) < 0:
            raise ValueError("spec_augment: numbers and widths of masks must not be negative")
        if not 0.0 < self.time_part <= 1.0:
            raise ValueError(f"spec_augment.time_part must be above 0 and at most 1, not {self.time_part}")

    @property
    def of_cepstra(self) -> bool:
        """Whether bands of cepstra are hidden."""
        return self.columns == "cepstra" and self.frequency_masks > 0

    def check(self, made: Mapping[str, Mapping[str, Any]], where: str) -> None:
        """Compare ``columns`` with what is known of the features.

        Args:
            made: kinds of the features and their settings.
            where: named in messages.

        Raises:
            UserError: the columns are something else, and bands are to be hidden.
        """
        cepstra = made.get("mfcc")
        if not self.frequency_masks or (cepstra is None and "fbank" not in made):
            return
        if (self.columns == "cepstra") != (cepstra is not None):
            right = "bands" if cepstra is None else "cepstra"
            raise UserError(f"{where}: spec_augment.columns: {self.columns}, and these features are {right}; set it so")
        if cepstra is not None and not (
            cepstra.get("num_ceps") == cepstra.get("num_mel_bins")
            and cepstra.get("cepstral_lifter") == LIFTER
            and not cepstra.get("use_energy")
        ):
            raise UserError(
                f"{where}: bands are known of MFCC with as many cepstra as filters, cepstral_lifter: {LIFTER:g} and "
                "no energy (conf/features/mfcc.yaml), which these are not; set spec_augment.frequency_masks: 0"
            )


@dataclass(frozen=True)
class Hidden:
    """What is hidden of some utterances: bool (N, T) over time, (N, F) over bands."""

    time: Tensor
    bands: Tensor


class SpecMasks:
    """Draws masks, and hides features behind their mean: 0 once they are normalised, as in the paper.

    Args:
        config: see :class:`SpecAugment`.
        mean: (F,), of the training data.

    Raises:
        UserError: a mask can hide all bands.
    """

    def __init__(self, config: SpecAugment, mean: Tensor) -> None:
        if config.frequency_masks and config.frequency_width >= len(mean):
            raise UserError(
                f"spec_augment.frequency_width: a mask of {config.frequency_width} can hide all {len(mean)} bands"
            )
        self.config, self.mean = config, mean
        self._to_bands = self._to_columns = torch.eye(len(mean))
        if config.of_cepstra:
            self._to_bands, self._to_columns = cosines(len(mean))

    def draw(self, lengths: Tensor, generator: torch.Generator) -> Hidden:
        """Masks of utterances of so many frames (N,), others for each."""
        config, width = self.config, torch.tensor(self.config.time_width)
        widest = torch.minimum(width, (config.time_part * lengths).long())
        bands = torch.full_like(lengths, len(self.mean))
        time = spans(lengths, widest, config.time_masks, generator)
        return Hidden(time, spans(bands, torch.full_like(bands, config.frequency_width), config.frequency_masks,
                                  generator))  # fmt: skip

    def hide(self, features: Tensor, lengths: Tensor, hidden: Hidden) -> Tensor:
        """Features (N, T, F) with the masks; what lies behind an utterance's length (N,) stays what it is."""
        x = features - self.mean
        if self.config.frequency_masks:
            x = (x @ self._to_bands).masked_fill(hidden.bands[:, None], 0.0) @ self._to_columns
        x = x.masked_fill(hidden.time[:, : x.shape[1], None], 0.0) + self.mean
        inside = torch.arange(x.shape[1])[None] < lengths[:, None]
        return torch.where(inside[..., None], x, features)


def spans(sizes: Tensor, widest: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Which of ``sizes`` places lie in one of ``count`` stretches: bool (N, largest size).

    A stretch has 0 to ``widest`` places and begins anywhere it fits, each width and then each beginning as likely.

    Args:
        sizes, widest: int64 (N,); no stretch is wider than its size.
        count: stretches of each.
    """
    drawn = torch.rand(2, len(sizes), count, generator=generator, dtype=torch.float64)
    width = (drawn[0] * (torch.minimum(widest, sizes)[:, None] + 1)).long()
    first = (drawn[1] * (sizes[:, None] - width + 1)).long()
    at = torch.arange(int(sizes.max()))
    return ((at >= first[..., None]) & (at < (first + width)[..., None])).any(1)


def cosines(size: int) -> tuple[Tensor, Tensor]:
    """From Kaldi's liftered cepstra (rows of ``size``) to log filter banks, and back: float32 (size, size) each.

    The cosine transform is orthonormal, so nothing is lost where there are as many cepstra as filters.
    """
    order, band = torch.arange(size, dtype=torch.float64), torch.arange(size, dtype=torch.float64)
    table = math.sqrt(2.0 / size) * torch.cos(math.pi / size * order[:, None] * (band + 0.5))
    table[0] = math.sqrt(1.0 / size)
    lifter = 1.0 + 0.5 * LIFTER * torch.sin(math.pi * order / LIFTER)
    return (table / lifter[:, None]).float(), (table * lifter[:, None]).T.contiguous().float()
