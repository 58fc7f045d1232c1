"""Classes of frames for LDA, from the alignments in lhotse's supervisions."""

from collections.abc import Sequence

import torch
from lhotse.cut import Cut
from torch import Tensor

from sertools.errors import UserError


class FrameClasses:
    """Numbers for the symbols of an alignment.

    Args:
        cuts: all that will be asked about.
        name: of the alignment in ``supervision.alignment``.

    Raises:
        UserError: no supervision has it.
    """

    def __init__(self, cuts: Sequence[Cut], name: str) -> None:
        self.name = name
        symbols = {item.symbol for cut in cuts for s in cut.supervisions for item in (s.alignment or {}).get(name, [])}
        if not symbols:
            raise UserError(
                f"transform.kind: lda needs frames with classes, but no supervision has an alignment '{name}' "
                "(transform.alignment); align the corpus first, or set transform.kind: pca"
            )
        self.numbers = {symbol: number for number, symbol in enumerate(sorted(symbols))}

    def of(self, cuts: Sequence[Cut], lengths: Sequence[int]) -> Tensor:
        """int64 (T,): class of each frame of cuts with so many frames, -1 for none."""
        labels = []
        for cut, length in zip(cuts, lengths, strict=True):
            own = torch.full((length,), -1)
            for supervision in cut.supervisions:
                for item in (supervision.alignment or {}).get(self.name, []):
                    first, last = (round(time / cut.frame_shift) for time in (item.start, item.end))
                    own[max(first, 0) : max(last, 0)] = self.numbers[item.symbol]
            labels.append(own)
        return torch.cat(labels)
