"""What the supervision of a copy says in ``custom``."""

COPY = "copy"
"""How it was changed, as ``speed=0.9``."""
COPY_OF = "copy_of"
"""The utterance that it is a copy of."""
