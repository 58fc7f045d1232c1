"""How a phone becomes frames: which network output ("pdf") a frame of a phone has."""

from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor

Index = TypeVar("Index", int, Tensor)


@dataclass(frozen=True)
class TopologyConfig:
    """Which topology, and which units.

    Attributes:
        kind: ``chain`` is Kaldi's: the first frame of a phone has one pdf, any number of further
            frames a second one.  ``ctc`` has one pdf a phone, for all its frames, and a blank
            (pdf 0) that may stand between phones and must stand between two equal pdfs.
        context: ``mono``: phones; ``biphone``: each phone after each left neighbour, without a
            tree (Hadian et al. 2018, "full biphone").
    """

    kind: Literal["chain", "ctc"] = "chain"
    context: Literal["mono", "biphone"] = "mono"

    def __post_init__(self) -> None:
        if self.kind not in ("chain", "ctc"):
            raise ValueError(f"kind must be chain or ctc, not {self.kind!r}")
        if self.context not in ("mono", "biphone"):
            raise ValueError(f"context must be mono or biphone, not {self.context!r}")


@dataclass(frozen=True)
class Topology:
    """The pdfs of phones 1 to ``num_phones``; 0 as a left neighbour is the start of the utterance.

    As in Kaldi's chain models, transitions inside a phone (to a further frame, out of it) have
    probability one: the 0.5 in Kaldi's ``topo`` is never used.

    Raises:
        ValueError: there is no phone.
    """

    config: TopologyConfig
    num_phones: int

    def __post_init__(self) -> None:
        if self.num_phones < 1:
            raise ValueError(f"a topology needs at least one phone, not {self.num_phones}")

    @property
    def num_units(self) -> int:
        """Number of phones in context."""
        return self.num_phones * (self.num_phones + 1 if self.config.context == "biphone" else 1)

    @property
    def num_pdfs(self) -> int:
        """Number of outputs of the network."""
        return 2 * self.num_units if self.config.kind == "chain" else self.num_units + 1

    @property
    def blank(self) -> int | None:
        """The pdf of the blank; None for ``chain``."""
        return 0 if self.config.kind == "ctc" else None

    def _unit(self, phone: Index, left: Index) -> Index:
        return left * self.num_phones + phone - 1 if self.config.context == "biphone" else phone - 1

    def first(self, phone: Index, left: Index) -> Index:
        """The pdf of the first frame of ``phone`` after ``left``; integers, or int64 tensors of one shape."""
        unit = self._unit(phone, left)
        return 2 * unit if self.config.kind == "chain" else unit + 1

    def repeat(self, phone: Index, left: Index) -> Index:
        """The pdf of any further frame of ``phone`` after ``left``."""
        unit = self._unit(phone, left)
        return 2 * unit + 1 if self.config.kind == "chain" else unit + 1

    def phones(self) -> Tensor:
        """The phone of every pdf, 0 for the blank; (num_pdfs,) int64."""
        pdf = torch.arange(self.num_pdfs)
        if self.config.kind == "chain":
            return pdf // 2 % self.num_phones + 1
        return torch.where(pdf == 0, torch.zeros_like(pdf), (pdf - 1) % self.num_phones + 1)
