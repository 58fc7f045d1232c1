"""The tests of a paper's page: pairs of systems, with p as the paper made it and as it should be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sertools.evaluation.paper.found import Found
from sertools.evaluation.paper.published import Pair, Tests
from sertools.evaluation.stats.significance import holm

ALL_DATA = "all data"


@dataclass(frozen=True)
class Tested:
    """One pair.

    Attributes:
        system, against: names.
        published: p; None if the paper has none.
        difference: of ``system`` minus ``against``, mean of the folds; None if the pair was not compared here.
        p: of the corrected t-test over folds (of repetitions corrected repeated k-fold).
        p_holm: corrected for the other pairs of the table.
        p_all_data: of the test of all differences at 10 degrees of freedom; None without repetitions.
    """

    system: str
    against: str
    published: float | None
    difference: float | None = None
    p: float | None = None
    p_holm: float | None = None
    p_all_data: float | None = None


def pairs_of(table: Tests, found: Found, corpus: str, another: bool) -> list[Tested]:
    """The pairs of a table, of the first of its protocols in which any was compared.

    Args:
        table: what the paper tests.
        found: ours.
        corpus: name of ours.
        another: whether it is none of the paper's; then p is of the first of these.
    """
    protocols = [table.protocol] if isinstance(table.protocol, str) else table.protocol
    compared: list[tuple[Mapping[str, Any], float] | None] = []
    for protocol in protocols:
        compared = [_comparison(found, protocol, pair) for pair in table.pairs]
        if any(compared):
            break
    ps = iter(holm([one["t_test"]["p"] for one, _ in filter(None, compared)]))
    lines = []
    for pair, here in zip(table.pairs, compared, strict=True):
        published = pair.published
        if isinstance(published, dict):
            published = next(iter(published.values()), None) if another else published.get(corpus)
        if here is None:
            lines.append(Tested(pair.system, pair.against, published))
            continue
        values, sign = here
        all_data = [float(other["p"]) for other in values.get("t_tests", []) if other["name"] == ALL_DATA]
        lines.append(
            Tested(
                pair.system,
                pair.against,
                published,
                sign * float(values["t_test"]["difference"]),
                float(values["t_test"]["p"]),
                next(ps),
                *all_data,
            )
        )
    return lines


def _comparison(found: Found, protocol: str, pair: Pair) -> tuple[Mapping[str, Any], float] | None:
    """A tested comparison, and 1, or -1 where it is the other way about."""
    for first, second, sign in ((pair.against, pair.system, 1.0), (pair.system, pair.against, -1.0)):
        values = found.pairs.get((protocol, first, second))
        if values is not None and values.get("t_test"):
            return values, sign
    return None
