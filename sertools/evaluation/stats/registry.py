"""Which metrics there are.  A new one is a file with a :class:`Metric` and a line here."""

from typing import Literal

from sertools.evaluation.stats.divergence import JSD, KLD
from sertools.evaluation.stats.metric import Metric
from sertools.evaluation.stats.metrics import MACRO_F1, UA, WA
from sertools.evaluation.stats.moments import CCC, MAE, PEARSON, RMSE

METRICS: tuple[Metric, ...] = (UA, WA, MACRO_F1, CCC, PEARSON, RMSE, MAE, JSD, KLD)
"""The first one of a kind of target is what systems are chosen and compared by."""

ERRORS = ("loss", "per", "wer", "cer")
"""What trainings select by besides metrics: names that end so are less the better."""


def metrics_of(kind: Literal["classes", "number", "distribution"]) -> tuple[Metric, ...]:
    """The metrics of a kind of target, the main one first."""
    return tuple(metric for metric in METRICS if metric.kind == kind)


def metric_names() -> list[str]:
    """Of all metrics: results that lack one are made anew."""
    return [metric.name for metric in METRICS]


def main_metric(kind: Literal["classes", "number"]) -> Metric:
    """What systems are chosen on dev and compared by."""
    return metrics_of(kind)[0]


def find_metric(name: str) -> Metric:
    """By name.

    Raises:
        ValueError: there is none.
    """
    found = next((metric for metric in METRICS if metric.name == name), None)
    if found is None:
        raise ValueError(f"no metric '{name}'; there are {', '.join(metric.name for metric in METRICS)}")
    return found


def better(name: str) -> bool:
    """Whether more is better of what a training selects by, such as ``dev_ua`` (True) or ``dev_loss`` (False).

    Raises:
        ValueError: neither a metric nor a loss nor an error rate.

    >>> better("dev_ccc"), better("dev_rmse"), better("dev_loss")
    (True, False, False)
    """
    for metric in METRICS:
        if name == metric.dev_key:
            return metric.higher_is_better
    if name.endswith(ERRORS):
        return False
    known = ", ".join(metric.dev_key for metric in METRICS)
    raise ValueError(
        f"nothing to select by is called '{name}'; there are {known}, and what ends in {', '.join(ERRORS)}"
    )
