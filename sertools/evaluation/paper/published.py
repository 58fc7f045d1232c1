"""What a paper published: ``egs/common/papers/*.yaml``."""

from dataclasses import dataclass, field

from sertools.evaluation.stats.registry import METRICS

FOLDS, POOLED, WITHIN, GAIN = "folds", "pooled", "within_folds", "gain"
"""Where a number is from, besides the name of a fold."""
EACH = "*"
"""Among a table's or figure's protocols, and in the names of systems: see
:func:`~sertools.evaluation.paper.expanding.expand`."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: its head.
        metric: as in results.json, in any case (ua, wa, ccc); empty with ``extra``.
        of: ``folds`` (the mean over folds), ``pooled`` (all utterances together), ``within_folds`` (the standard
            deviation over folds, of several repetitions the mean of each one's), ``gain`` (pooled, over the first
            system of the comparison, with the corrected p of the exchange of speakers), or the name of a fold.
        protocol: of this column, if it differs from the table's.
        extra, value: a number of another table that a run leaves, such as word_errors and after.
        minus: protocols, of the first of which that was run this number is subtracted: a difference.
    """

    title: str
    metric: str = ""
    of: str = POOLED
    protocol: list[str] | str = ""
    extra: str = ""
    value: str = ""
    minus: list[str] | str = ""

    def __post_init__(self) -> None:
        if bool(self.metric) == bool(self.extra):
            raise ValueError(f"column {self.title}: either metric or extra says what it shows")
        if self.metric and self.metric.lower() not in {metric.name.lower() for metric in METRICS}:
            raise ValueError(f"column {self.title}: there is no metric {self.metric}")
        if self.extra and not self.value:
            raise ValueError(f"column {self.title}: extra needs value")


@dataclass(frozen=True)
class Row:
    """A row: a system, and what the paper has for it in each column (fewer than columns: nothing in the rest).

    Where the paper has several corpora, ``published`` is by corpus.  A ``*`` in ``system`` stands for every other
    system that was run, and one in ``title`` for what stood in its place.
    """

    title: str
    system: str
    published: list[float | None] | dict[str, list[float | None]] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """A table: of systems on the folds of a protocol, or of the first of several names that was run; empty for any.

    ``*`` among the names makes it again for each other protocol that was run, which ``elsewhere`` then says.
    """

    title: str
    columns: list[Column]
    rows: list[Row]
    protocol: list[str] | str = ""
    remarks: list[str] = field(default_factory=list)
    elsewhere: bool = False


@dataclass(frozen=True)
class Pair:
    """Two systems that the paper compares, ``system`` minus ``against``, and its p: by corpus, where it has several."""

    system: str
    against: str
    published: dict[str, float] | float | None = None


@dataclass(frozen=True)
class Tests:
    """A table of tests of a protocol's folds; p of all that are there are corrected together by Holm."""

    title: str
    pairs: list[Pair]
    protocol: list[str] | str = ""
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Figure:
    """A figure that is drawn anew.

    Attributes:
        title: of it.
        kind: a name in :mod:`sertools.evaluation.paper.figures`.
        systems: that it shows; one with a ``*`` is every other one that was run.
        protocol: of them, as a table's.
        over: protocols along the axis of a figure over several, and what is written there (kind ``amounts``).
    """

    title: str
    kind: str
    systems: list[str]
    protocol: list[str] | str = ""
    over: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.kind == "amounts") != bool(self.over):
            raise ValueError(f"figure {self.title}: over is for figures of the kind amounts, which need it")


@dataclass(frozen=True)
class Paper:
    """A paper.

    Attributes:
        paper: S1 ... S5.
        title: what it is about.
        corpus: that its numbers are of; empty where rows say it.
        tables, tests, figures: re-made.
        departures: where ours is not theirs, and why.
    """

    paper: str
    title: str
    tables: list[Table]
    corpus: str = ""
    tests: list[Tests] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    departures: list[str] = field(default_factory=list)
