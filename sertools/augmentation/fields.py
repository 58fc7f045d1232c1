"""What the supervision of a copy says in ``custom``."""

from typing import Any

COPY = "copy"
"""How it was changed, as ``speed=0.9``."""
COPY_OF = "copy_of"
"""The utterance that it is a copy of."""


def is_copy(cut: Any) -> bool:
    """Whether a cut of lhotse is an augmented copy of another."""
    return bool(cut.supervisions) and COPY_OF in (cut.supervisions[0].custom or {})
