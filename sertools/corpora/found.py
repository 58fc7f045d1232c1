"""What a corpus module finds, before it is judged and written."""

from dataclasses import dataclass, field

from lhotse import Recording, SupervisionSegment

from sertools.corpora.problems import Problem


@dataclass
class Found:
    """What a corpus module found in a corpus.

    Attributes:
        splits: split name ("all", "train") to its recordings and supervisions.
        problems: what is wrong; none of it is in ``splits``.
        notes: remarks for the report (what was ignored and why, counts that differ).
    """

    splits: dict[str, tuple[list[Recording], list[SupervisionSegment]]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
