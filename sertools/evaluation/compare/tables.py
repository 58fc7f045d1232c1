"""A comparison of systems as tables: text, Markdown and tidy CSV.

Numbers of the tables for people are in percent, differences in percentage points; those of the CSV
file are in 0 .. 1.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from sertools.evaluation.compare.comparison import ALPHA, Comparison, ComparisonTable, SystemResult
from sertools.evaluation.score.results import Score
from sertools.evaluation.score.tables import aligned, percent
from sertools.evaluation.score.tables import warnings as warnings_of_results
from sertools.evaluation.stats.calibration import Calibration
from sertools.evaluation.stats.uncertainty import Interval

SYSTEMS = (
    "system", "UA %", "95 % CI", "UA − first", "95 % CI", "verdict", "UA %, folds", "sd folds", "sd seeds", "WA %",
    "ECE %", "calibrated", "dev UA %", "seeds",
)  # fmt: skip
COMPARISONS = (
    "second − first", "UA", "95 % CI", "would not show", "p exchange", "Holm", "UA, folds", "95 % CI", "p t-test",
    "Holm", "WA", "95 % CI",
)  # fmt: skip
CLASSES = ("class", "utterances", "recall of first %", "of second %", "difference", "95 % CI")
CSV_HEADERS = ("first", "second", "scope", "name", "metric", "value", "low", "high", "p", "p_holm")


def points(difference: float | None) -> str:
    """A difference in percentage points with its sign: ``0.041`` as ``+4.1``; a dash for what is not defined."""
    if difference is None or not isfinite(difference):
        return "–"
    shown = f"{100 * difference:+.1f}"
    return "0.0" if shown in ("+0.0", "-0.0") else shown.replace("-", "−")


def between(interval: Interval | None) -> str:
    """An interval of a difference, in percentage points: ``+1.2 to +7.0``."""
    if interval is None or not isfinite(interval.low):
        return "–"
    return f"{points(interval.low)} to {points(interval.high)}"


def range_of(interval: Interval | None) -> str:
    """An interval of UA or WA in percent: ``55.2 to 63.0``."""
    return f"{percent(interval.low)} to {percent(interval.high)}" if interval else "–"


def probability(p: float | None) -> str:
    """A p value with four decimals."""
    if p is None:
        return "–"
    return f"{p:.4f}" if p >= 0.0001 else "<0.0001"


def verdict(comparison: Comparison) -> str:
    """What a comparison shows, in words."""
    value, low, high = (100 * v for v in (comparison.ua.value, comparison.ua.interval.low, comparison.ua.interval.high))
    if comparison.certainty == "none":
        return (
            f"{comparison.second} against {comparison.first}: no difference shown "
            f"({points(comparison.ua.value)}, {between(comparison.ua.interval)})"
        )
    better, worse = (comparison.second, comparison.first) if value > 0 else (comparison.first, comparison.second)
    low, high = (low, high) if value > 0 else (-high, -low)
    words = "sure" if comparison.certainty == "sure" else "likely, not sure"
    size = f"{abs(value):.1f} ({low:.1f} to {high:.1f})".replace("-", "−")
    return f"{better} is better than {worse} by {size}, {words}"


def short_verdict(comparison: Comparison | None) -> str:
    """The verdict on the second system, for a table."""
    if comparison is None:
        return "–"
    if comparison.certainty == "none":
        return "no difference shown"
    words = "sure" if comparison.certainty == "sure" else "likely, not sure"
    return f"{'better' if comparison.ua.value > 0 else 'worse'}, {words}"


def warnings(table: ComparisonTable) -> list[str]:
    """What a reader must know before any number, in the order of importance."""
    dependent = any(system.test.speaker_dependent for system in table.systems)
    lines = warnings_of_results(replace(table.systems[0].test, speaker_dependent=dependent))
    seeds = {system.name: len(system.test.seeds) for system in table.systems}
    if len(set(seeds.values())) > 1:
        counts = ", ".join(f"{name} {count}" for name, count in seeds.items())
        lines.append(f"Different numbers of seeds ({counts}): UA is the mean over each system's own")
    smallest = 2 * len(table.comparisons) / 2 ** table.systems[0].test.num_speakers
    if smallest >= ALPHA:
        lines.append(
            f"With {table.systems[0].test.num_speakers} speakers the permutation test cannot show a difference, "
            f"however large: its smallest p, corrected, is {min(1.0, smallest):.2g}"
        )
    return [*lines, *table.remarks]


def system_rows(table: ComparisonTable) -> list[list[str]]:
    """Rows under :data:`SYSTEMS`, in the order given."""
    rows = []
    for system in table.systems:
        test, compared = system.test, table.with_first(system.name)
        ece = [percent(measured.ece) if measured else "–" for measured in _calibrations(system)]
        rows.append([
            system.name, percent(test.ua_pooled.value), range_of(test.ua_pooled.interval),
            points(compared.ua.value if compared else None), between(compared.ua.interval if compared else None),
            short_verdict(compared), percent(test.ua_folds.value), percent(test.ua_folds.sd_folds),
            percent(test.ua_folds.sd_seeds), percent(test.wa_pooled.value), *ece,
            percent(system.dev.ua_pooled.value if system.dev else None), str(len(test.seeds)),
        ])  # fmt: skip
    return rows


def comparison_rows(table: ComparisonTable) -> list[list[str]]:
    """Rows under :data:`COMPARISONS`."""
    return [
        [
            f"{c.second} − {c.first}", points(c.ua.value), between(c.ua.interval), f"under {percent(c.smallest)}",
            probability(c.permutation.p), probability(c.permutation_holm),
            points(c.ua_folds), between(c.t_test.interval if c.t_test else None),
            probability(c.t_test.p if c.t_test else None), probability(c.t_test_holm),
            points(c.wa.value), between(c.wa.interval),
        ]
        for c in table.comparisons
    ]  # fmt: skip


def class_rows(table: ComparisonTable, comparison: Comparison) -> list[list[str]]:
    """Rows under :data:`CLASSES`."""
    counts = {c.name: c.count for c in table.systems[0].test.by_class}
    return [
        [
            c.name, str(counts[c.name]), percent(c.first), percent(c.second),
            points(c.difference.value), between(c.difference.interval),
        ]
        for c in comparison.classes
    ]  # fmt: skip


def differences_in_words(comparison: Comparison) -> list[str]:
    """Utterances that only one system has right, and who gains and loses, in sentences."""
    a, total = comparison.agreement, sum(speaker.num_utterances for speaker in comparison.speakers)
    worst, best = comparison.speakers[0], comparison.speakers[-1]
    gain = sum(points(s.difference).startswith("+") for s in comparison.speakers)
    lose = sum(points(s.difference).startswith("−") for s in comparison.speakers)
    return [
        f"Of {total} utterances both have {a.both:.0f} right, only {comparison.first} {a.only_first:.0f}, "
        f"only {comparison.second} {a.only_second:.0f}, neither {a.neither:.0f} (means over all pairs of their seeds).",
        f"Of {len(comparison.speakers)} speakers {gain} gain and {lose} lose with {comparison.second}: from "
        f"{points(worst.difference)} ({worst.name}) to {points(best.difference)} ({best.name}).",
    ]


def confusion_in_words(system: SystemResult) -> str:
    """The most frequent confusion of a system, in a sentence."""
    if system.confusion is None:
        return f"{system.name} makes no mistake."
    truth, recognised, share = system.confusion
    return f"{system.name} most often takes {truth} for {recognised}: {percent(share)} % of {truth}."


def chosen_rows(table: ComparisonTable) -> tuple[list[str], list[list[str]]]:
    """Header and rows of what was chosen on dev in each fold; no rows if nothing was chosen."""
    folds = list(table.systems[0].test.folds)
    return ["chosen on dev", *folds], [[s.name, *(s.chosen[f] for f in folds)] for s in table.systems if s.chosen]


def notes(table: ComparisonTable) -> list[str]:
    """What the tests mean, in two sentences each."""
    permutation = table.comparisons[0].permutation
    how = f"all {permutation.num_exchanges}" if permutation.exact else f"{permutation.num_exchanges} random"
    lines = [
        "95 % CI of UA and WA: bootstrap over speakers, both systems with the same draw, percentiles widened for the "
        "number of speakers. It says how the difference would vary with other speakers, for these trained models.",
        f"p exchange: the two systems' predictions are exchanged for whole speakers ({how} exchanges). It is the share "
        "of exchanges that make a difference in UA at least as large as the one found.",
    ]
    if table.ratio is None:
        lines.append("p t-test: not made, since --folds was not given. It needs the sizes of the folds' train parts.")
    else:
        lines.append(
            "p t-test: corrected resampled t-test of the folds' differences, each a mean over seeds "
            f"(n_test / n_train = {table.ratio:.2f}). It allows for the folds having most of their training "
            "utterances in common."
        )
    lines += [
        f"Holm: the p value before it, corrected for {len(table.comparisons)} comparisons. Under 0.05, the chance of "
        "any false finding in the column is below 5 %.",
        'Verdict: sure if the CI excludes 0 and the corrected exchange p is under 0.05; "likely, not sure" if one '
        "holds. No difference shown does not mean that there is none: one under half the CI's width would not show.",
    ]
    if any(system.chosen for system in table.systems):
        lines.append(
            "Chosen on dev: in each fold the experiment with the best dev UA, the mean over seeds, is taken; test data "
            "play no part. The dev UA of such a system is the best of several and therefore too high."
        )
    return lines


def to_text(table: ComparisonTable, title: str = "") -> str:
    """The tables of comparison.txt."""
    lines = [*([title] if title else []), *warnings(table), summary(table), "", *map(verdict, table.comparisons), ""]
    lines += [*aligned(SYSTEMS, system_rows(table)), "", *aligned(COMPARISONS, comparison_rows(table)), ""]
    header, chosen = chosen_rows(table)
    if chosen:
        lines += [*aligned(header, chosen), ""]
    lines += [*map(confusion_in_words, table.systems), ""]
    for comparison in table.comparisons:
        lines += [f"{comparison.second} (second) against {comparison.first} (first)"]
        lines += [*differences_in_words(comparison), *aligned(CLASSES, class_rows(table, comparison)), ""]
    return "\n".join([*lines, *notes(table)]) + "\n"


def to_markdown(table: ComparisonTable, title: str = "") -> str:
    """The tables of comparison.md, to paste into RESULTS.md."""
    lines = [f"## {title}", ""] if title else []
    lines += [f"**{line}.**\n" for line in warnings(table)]
    lines += [summary(table), "", *(f"- {verdict(c)}" for c in table.comparisons), ""]
    lines += [*_markdown(SYSTEMS, system_rows(table)), "", *_markdown(COMPARISONS, comparison_rows(table)), ""]
    header, chosen = chosen_rows(table)
    if chosen:
        lines += [*_markdown(header, chosen), ""]
    return "\n".join([*lines, *(f"- {note}" for note in notes(table))]) + "\n"


def summary(table: ComparisonTable) -> str:
    """What was tested, in a sentence."""
    test = table.systems[0].test
    return (
        f"{test.corpus}, test parts: {test.num_utterances} utterances, {test.num_speakers} speakers, "
        f"{len(test.folds)} folds, {len(test.classes)} classes (chance: UA {percent(test.chance_ua)} %); "
        "differences in percentage points."
    )


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def _calibrations(system: SystemResult) -> tuple[Calibration | None, Calibration | None]:
    scaling = system.test.calibration
    return (scaling.raw, scaling.calibrated) if scaling else (None, None)


def to_csv(table: ComparisonTable) -> str:
    """All numbers as tidy CSV, one a row; what does not apply is empty.

    ``first`` is empty for the numbers of one system (``second``).  ``scope`` is all, fold, class,
    speaker or utterances.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_HEADERS)
    rows: list[tuple[object, ...]] = []
    for system in table.systems:
        scores: list[tuple[str, Score]] = [("UA", system.test.ua_pooled), ("WA", system.test.wa_pooled)]
        rows += [("", system.name, "all", "pooled", m, s.value, *_ends(s.interval)) for m, s in scores]
        rows.append(("", system.name, "all", "folds", "UA", system.test.ua_folds.value))
        rows += [("", system.name, "fold", fold.name, "UA", fold.ua) for fold in system.test.by_fold]
        for name, measured in zip(("raw", "calibrated"), _calibrations(system), strict=True):
            rows += [("", system.name, "all", name, "ECE", measured.ece)] if measured else []
        rows += [("", system.name, "all", "dev", "UA", system.dev.ua_pooled.value)] if system.dev else []
    for c in table.comparisons:
        p, t = (c.permutation.p, c.permutation_holm), c.t_test
        rows.append((c.first, c.second, "all", "pooled", "UA", c.ua.value, *_ends(c.ua.interval), *p))
        rows.append((c.first, c.second, "all", "pooled", "WA", c.wa.value, *_ends(c.wa.interval)))
        tested = (*_ends(t.interval), t.p, c.t_test_holm) if t else ()
        rows.append((c.first, c.second, "all", "folds", "UA", c.ua_folds, *tested))
        for k in c.classes:
            rows.append(
                (c.first, c.second, "class", k.name, "recall", k.difference.value, *_ends(k.difference.interval))
            )
        rows += [(c.first, c.second, "speaker", speaker.name, "UA", speaker.difference) for speaker in c.speakers]
        for name in ("both", "only_first", "only_second", "neither"):
            rows.append((c.first, c.second, "utterances", name, "right", getattr(c.agreement, name)))
    for row in rows:
        plain = ["" if isinstance(cell, float) and not isfinite(cell) else cell for cell in row]
        writer.writerow([*plain, *[""] * (len(CSV_HEADERS) - len(row))])
    return stream.getvalue()


def _ends(interval: Interval | None) -> tuple[float | str, float | str]:
    return (interval.low, interval.high) if interval else ("", "")
