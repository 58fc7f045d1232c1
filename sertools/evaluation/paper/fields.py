"""What is read of comparison.json and results.json: every field with its type and range."""

from sertools.limits import AnyOf, Anything, ListOf, MappingOf, Number, Record, Text, Truth, optional

_NAME = Text(10_000)
_VALUE = Number(-1e300, 1e300)
_COUNT = Number(0, 10**9, whole=True)
_FOLD = AnyOf((Number(-(2**63), 2**63, whole=True), _NAME))
_INTERVAL = optional(Record({"low": _VALUE, "high": _VALUE}, frozenset({"low", "high"})))
_POOLED = Record(
    {"value": _VALUE, "interval": _INTERVAL, "sd_folds": optional(_VALUE)}, frozenset({"value", "interval"})
)
_MEAN = Record(
    {"value": _VALUE, "interval": _INTERVAL, "sd_folds": optional(_VALUE)}, frozenset({"value", "interval", "sd_folds"})
)
_METRIC = Record({"name": _NAME, "pooled": _POOLED, "folds": _MEAN}, frozenset({"name", "pooled", "folds"}))
_OF_FOLD = Record(
    {"name": _FOLD, "values": MappingOf(optional(_VALUE)), "repetition": _COUNT}, frozenset({"name", "values"})
)
TEST = Record(
    {
        "corpus": _NAME,
        "speaker_dependent": Truth(),
        "classes": optional(ListOf(_NAME, 10_000)),
        "seeds": ListOf(_COUNT, 100_000),
        "metrics": ListOf(_METRIC, 1000, 1),
        "by_fold": ListOf(_OF_FOLD, 100_000),
        "confusion_shares": optional(ListOf(ListOf(optional(_VALUE), 10_000), 10_000)),
    },
    frozenset({"corpus", "metrics", "by_fold", "seeds"}),
)
"""A part's results."""
_T_TEST = Record({"p": Number(0, 1), "difference": _VALUE}, frozenset({"p", "difference"}))
_DIFFERENCE = Record(
    {"name": _NAME, "pooled": _POOLED, "permutation_holm": optional(Number(0, 1))},
    frozenset({"name", "pooled", "permutation_holm"}),
)
_PAIR = Record(
    {"first": _NAME, "second": _NAME, "t_test": optional(_T_TEST), "metrics": ListOf(_DIFFERENCE, 1000)},
    frozenset({"first", "second"}),
)
COMPARISON = Record(
    {
        "systems": ListOf(Record({"name": _NAME, "test": TEST}, frozenset({"name", "test"})), 10_000, 1),
        "comparisons": ListOf(_PAIR, 1_000_000),
        "remarks": ListOf(Text(), 10_000),
    },
    frozenset({"systems"}),
)
_ROWS = optional(ListOf(MappingOf(Anything()), 1_000_000))
RESULTS = Record(
    {
        "test": TEST,
        "remarks": ListOf(Text(), 10_000),
        "layers": _ROWS,
        "epochs": _ROWS,
        "ratio": optional(AnyOf((MappingOf(Anything()), _VALUE))),
    }
)
