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
from sertools.evaluation.score.baselines import baselines
from sertools.evaluation.score.tables import aligned, percent
from sertools.evaluation.score.tables import warnings as warnings_of_results
from sertools.evaluation.stats.calibration import Calibration
from sertools.evaluation.stats.metric import Metric
from sertools.evaluation.stats.metrics import UA
from sertools.evaluation.stats.significance import T_TESTS
from sertools.evaluation.stats.uncertainty import Interval

CLASSES = ("class", "utterances", "recall of first %", "of second %", "difference", "95 % CI")
CSV_HEADERS = ("first", "second", "scope", "name", "metric", "value", "low", "high", "p", "p_holm", "corpus")


def points(difference: float | None) -> str:
    """A difference in percentage points with its sign: ``0.041`` as ``+4.1``; a dash for what is not defined."""
    return UA.show_difference(difference)


def between(interval: Interval | None, metric: Metric = UA) -> str:
    """An interval of a difference, in percentage points where the metric is in percent: ``+1.2 to +7.0``."""
    if interval is None or not isfinite(interval.low):
        return "–"
    return f"{metric.show_difference(interval.low)} to {metric.show_difference(interval.high)}"


def range_of(interval: Interval | None, metric: Metric = UA) -> str:
    """An interval of a metric: ``55.2 to 63.0``."""
    return f"{metric.show(interval.low)} to {metric.show(interval.high)}" if interval else "–"


def probability(p: float | None) -> str:
    """A p value with four decimals."""
    if p is None:
        return "–"
    return f"{p:.4f}" if p >= 0.0001 else "<0.0001"


def verdict(comparison: Comparison) -> str:
    """What a comparison shows, in words."""
    main = comparison.main
    metric, value, ends = main.metric, main.pooled.value, main.pooled.interval
    if comparison.certainty == "none":
        return (
            f"{comparison.second} against {comparison.first}: no difference shown "
            f"({metric.show_difference(value)}, {between(ends, metric)})"
        )
    gains = metric.sign * value > 0
    better, worse = (comparison.second, comparison.first) if gains else (comparison.first, comparison.second)
    low, high = sorted((ends.low, ends.high) if value > 0 else (-ends.high, -ends.low))
    words = "sure" if comparison.certainty == "sure" else "likely, not sure"
    size = f"{metric.show(abs(value))} ({metric.show(low)} to {metric.show(high)})".replace("-", "−")
    return f"{better} is better than {worse} by {size}, {words}"


def short_verdict(comparison: Comparison | None) -> str:
    """The verdict on the second system, for a table."""
    if comparison is None:
        return "–"
    if comparison.certainty == "none":
        return "no difference shown"
    words = "sure" if comparison.certainty == "sure" else "likely, not sure"
    main = comparison.main
    return f"{'better' if main.metric.sign * main.pooled.value > 0 else 'worse'}, {words}"


def warnings(table: ComparisonTable) -> list[str]:
    """What a reader must know before any number, in the order of importance."""
    dependent = any(system.test.speaker_dependent for system in table.systems)
    lines = warnings_of_results(replace(table.systems[0].test, speaker_dependent=dependent), remarks=table.remarks)
    seeds = {system.name: len(system.test.seeds) for system in table.systems}
    if len(set(seeds.values())) > 1:
        counts = ", ".join(f"{name} {count}" for name, count in seeds.items())
        name = table.systems[0].test.main.name
        lines.append(f"Different numbers of seeds ({counts}): {name} is the mean over each system's own")
    smallest = 2 * len(table.comparisons) / 2 ** table.systems[0].test.num_speakers
    if smallest >= ALPHA:
        lines.append(
            f"With {table.systems[0].test.num_speakers} speakers the permutation test cannot show a difference, "
            f"however large: its smallest p, corrected, is {min(1.0, smallest):.2g}"
        )
    return lines


def system_table(table: ComparisonTable) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the systems, in the order given: the main metric, the one after it, calibration, dev.

    Last come the baselines that hear nothing.
    """
    main, *rest = (found.metric for found in table.systems[0].test.metrics)
    second = rest[0] if rest else None
    calibrated = any(system.test.calibration for system in table.systems)
    header = [
        "system", f"{main.name}{main.unit}", "95 % CI", f"{main.name} − first", "95 % CI", "verdict",
        f"{main.name}{main.unit}, folds", "sd folds", "sd seeds",
        *([f"{second.name}{second.unit}"] if second else []),
        *(["ECE %", "calibrated"] if calibrated else []), f"dev {main.name}{main.unit}", "seeds",
    ]  # fmt: skip
    rows = []
    for system in table.systems:
        test, compared = system.test, table.with_first(system.name)
        difference = compared.main.pooled if compared else None
        ece = [percent(measured.ece) if measured else "–" for measured in _calibrations(system)] if calibrated else []
        rows.append([
            system.name, main.show(test.main.pooled.value), range_of(test.main.pooled.interval, main),
            main.show_difference(difference.value if difference else None),
            between(difference.interval if difference else None, main),
            short_verdict(compared), main.show(test.main.folds.value), main.show(test.main.folds.sd_folds),
            main.show(test.main.folds.sd_seeds), *([second.show(test.of(second.name).pooled.value)] if second else []),
            *ece, main.show(system.dev.main.pooled.value if system.dev else None), str(len(test.seeds)),
        ])  # fmt: skip
    for baseline in baselines(table.systems[0].test):
        rows.append(["–"] * len(header))
        rows[-1][:2] = [baseline.name, main.show(baseline.values.get(main.name))]
        if second:
            rows[-1][9] = second.show(baseline.values.get(second.name))
    return header, rows


def comparison_table(table: ComparisonTable) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the comparisons: the main metric with its tests, and the one after it."""
    main, *rest = (found.metric for found in table.comparisons[0].metrics)
    second = rest[0] if rest else None
    header = [
        "second − first", main.name, "95 % CI", "would not show", "p exchange", "Holm", f"{main.name}, folds",
        "95 % CI", "p t-test", "Holm", *([second.name, "95 % CI"] if second else []),
    ]  # fmt: skip
    rows = []
    for c in table.comparisons:
        found, t = c.main, c.t_test
        rows.append([
            f"{c.second} − {c.first}", main.show_difference(found.pooled.value), between(found.pooled.interval, main),
            f"under {main.show(c.smallest)}", probability(found.permutation.p), probability(found.permutation_holm),
            main.show_difference(found.folds), between(t.interval if t else None, main),
            probability(t.p if t else None), probability(c.t_test_holm),
        ])  # fmt: skip
        if second:
            pooled = c.of(second.name).pooled
            rows[-1] += [second.show_difference(pooled.value), between(pooled.interval, second)]
    return header, rows


def repeated_table(table: ComparisonTable) -> tuple[list[str], list[list[str]]]:
    """Header and rows of all t-tests over repeated cross-validation; no rows where there is one repetition."""
    header = ["second − first", "test", "t", "degrees of freedom", "p", "95 % CI"]
    rows = [
        [
            f"{c.second} − {c.first}", T_TESTS[t.name], f"{t.t:.3f}".replace("-", "−"), str(t.degrees),
            probability(t.p), between(t.interval, c.main.metric),
        ]
        for c in table.comparisons if c.t_tests
        for t in ([c.t_test] if c.t_test else []) + list(c.t_tests)
    ]  # fmt: skip
    return header, rows


def votes_table(table: ComparisonTable) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the divergences from the raters' votes; no rows where tables have none."""
    header = ["second − first", "from the raters", "first", "second", "difference", "95 % CI", "p exchange", "Holm"]
    results = {system.name: system.test for system in table.systems}
    rows = [
        [
            f"{c.second} − {c.first}", found.name, found.metric.show(results[c.first].of(found.name).pooled.value),
            found.metric.show(results[c.second].of(found.name).pooled.value),
            found.metric.show_difference(found.pooled.value), between(found.pooled.interval, found.metric),
            probability(found.permutation.p), probability(found.permutation_holm),
        ]
        for c in table.comparisons
        for found in c.metrics if found.metric.kind == "distribution"
    ]  # fmt: skip
    return header, rows


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
    metric = comparison.main.metric
    known = [speaker for speaker in comparison.speakers if isfinite(speaker.difference)]
    signs = [metric.show_difference(metric.sign * s.difference)[0] for s in known]
    agree = [] if a is None else [
        f"Of {total} utterances both have {a.both:.0f} right, only {comparison.first} {a.only_first:.0f}, "
        f"only {comparison.second} {a.only_second:.0f}, neither {a.neither:.0f} (means over all pairs of their seeds)."
    ]  # fmt: skip
    if not known:
        return agree
    worst, best = (f"{metric.show_difference(s.difference)} ({s.name})" for s in (known[0], known[-1]))
    return [
        *agree,
        f"Of {len(comparison.speakers)} speakers {signs.count('+')} gain and {signs.count('−')} lose with "
        f"{comparison.second}: from {worst} to {best}.",
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
    main = table.comparisons[0].main
    permutation, name = main.permutation, main.name
    both = " and ".join(found.name for found in table.comparisons[0].metrics[:2])
    how = f"all {permutation.num_exchanges}" if permutation.exact else f"{permutation.num_exchanges} random"
    lines = [
        f"95 % CI of {both}: bootstrap over speakers, both systems with the same draw, percentiles widened for the "
        "number of speakers. It says how the difference would vary with other speakers, for these trained models.",
        f"p exchange: the two systems' predictions are exchanged for whole speakers ({how} exchanges). It is the share "
        f"of exchanges that make a difference in {name} at least as large as the one found.",
    ]
    if table.ratio is None:
        lines.append("p t-test: not made, since --folds was not given. It needs the sizes of the folds' train parts.")
    elif (t := table.comparisons[0].t_test) is None:
        lines.append("p t-test: not made, since there is one fold.")
    elif t.name == "corrected":
        lines.append(
            "p t-test: corrected resampled t-test of the folds' differences, each a mean over seeds "
            f"(n_test / n_train = {table.ratio:.2f}). It allows for the folds having most of their training "
            "utterances in common."
        )
    else:
        lines.append(
            "p t-test: corrected repeated k-fold t-test (Bouckaert and Frank 2004) of the differences of all folds of "
            f"all repetitions, each a mean over seeds (n_test / n_train = {table.ratio:.2f}, {t.degrees} degrees of "
            "freedom). It allows for the folds having most of their training utterances in common. Repetitions tell "
            "how replicable a result is; they are no new speakers, and means of repetitions must not be tested."
        )
    number = len(table.comparisons)
    lines += [
        f"Holm: the p value before it, corrected for {number} comparison{'s' * (number > 1)}. Under 0.05, the "
        "chance of any false finding in the column is below 5 %.",
        'Verdict: sure if the CI excludes 0 and the corrected exchange p is under 0.05; "likely, not sure" if one '
        "holds. No difference shown does not mean that there is none: one under half the CI's width would not show.",
    ]
    if any(system.chosen for system in table.systems):
        lines.append(
            f"Chosen on dev: in each fold the experiment with the best dev {name}, the mean over seeds, is taken; test "
            f"data play no part. The dev {name} of such a system is the best of several and therefore too high."
        )
    return lines


def to_text(table: ComparisonTable, title: str = "") -> str:
    """The tables of comparison.txt."""
    lines = [*([title] if title else []), *warnings(table), summary(table), "", *map(verdict, table.comparisons), ""]
    lines += [*aligned(*system_table(table)), "", *aligned(*comparison_table(table)), ""]
    for header, rows in (repeated_table(table), votes_table(table)):
        if rows:
            lines += [*aligned(header, rows, left=2), ""]
    header, chosen = chosen_rows(table)
    if chosen:
        lines += [*aligned(header, chosen), ""]
    if table.systems[0].test.classes:
        lines += [*map(confusion_in_words, table.systems), ""]
    for comparison in table.comparisons:
        lines += [f"{comparison.second} (second) against {comparison.first} (first)"]
        rows = class_rows(table, comparison)
        lines += [*differences_in_words(comparison), *(aligned(CLASSES, rows) if rows else []), ""]
    return "\n".join([*lines, *notes(table)]) + "\n"


def to_markdown(table: ComparisonTable, title: str = "") -> str:
    """The tables of comparison.md, to paste into RESULTS.md."""
    lines = [f"## {title}", ""] if title else []
    lines += [f"**{line}.**\n" for line in warnings(table)]
    lines += [summary(table), "", *(f"- {verdict(c)}" for c in table.comparisons), ""]
    lines += [*_markdown(*system_table(table)), "", *_markdown(*comparison_table(table)), ""]
    for header, rows in (repeated_table(table), votes_table(table)):
        if rows:
            lines += [*_markdown(header, rows), ""]
    header, chosen = chosen_rows(table)
    if chosen:
        lines += [*_markdown(header, chosen), ""]
    return "\n".join([*lines, *(f"- {note}" for note in notes(table))]) + "\n"


def summary(table: ComparisonTable) -> str:
    """What was tested, in a sentence."""
    test = table.systems[0].test
    main = test.main
    chance = f"{main.name} {main.metric.show(main.chance)}{main.metric.unit}" if main.chance is not None else ""
    parts = [
        f"{test.num_utterances} utterances", f"{test.num_speakers} speakers", f"{len(test.folds)} folds",
        *([f"{len(test.repetitions)} repetitions"] if len(test.repetitions) > 1 else []),
        *([f"{len(test.classes)} classes"] if test.classes else []),
    ]  # fmt: skip
    said = f"{test.corpus}, test parts: {', '.join(parts)}" + (f" (chance: {chance})" if chance else "")
    in_points = "differences in percentage points" if main.metric.percent else "differences in the metrics' own units"
    return f"{said}; {in_points}."


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def _calibrations(system: SystemResult) -> tuple[Calibration | None, Calibration | None]:
    scaling = system.test.calibration
    return (scaling.raw, scaling.calibrated) if scaling else (None, None)


def to_csv(table: ComparisonTable, header: bool = True) -> str:
    """All numbers as tidy CSV, one a row; what does not apply is empty.

    ``first`` is empty for the numbers of one system (``second``).  ``scope`` is remark (``name`` is a sentence that
    a reader must know), all, fold, baseline, t-test, class, speaker or utterances.

    Args:
        table: the numbers.
        header: whether the first line names the columns.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    if header:
        writer.writerow(CSV_HEADERS)
    rows: list[tuple[object, ...]] = []
    rows += [("", "", "remark", line) for line in warnings(table)]
    for system in table.systems:
        for found in system.test.metrics:
            pooled = found.pooled
            rows.append(("", system.name, "all", "pooled", found.name, pooled.value, *_ends(pooled.interval)))
        main = system.test.main
        rows.append(("", system.name, "all", "folds", main.name, main.folds.value))
        rows += [
            ("", system.name, "fold", fold.name, main.name, fold.values[main.name]) for fold in system.test.by_fold
        ]
        for name, measured in zip(("raw", "calibrated"), _calibrations(system), strict=True):
            rows += [("", system.name, "all", name, "ECE", measured.ece)] if measured else []
        rows += [("", system.name, "all", "dev", main.name, system.dev.main.pooled.value)] if system.dev else []
    for baseline in baselines(table.systems[0].test):
        rows += [("", baseline.name, "baseline", "pooled", name, value) for name, value in baseline.values.items()]
    for c in table.comparisons:
        t, main_name = c.t_test, c.main.name
        for difference in c.metrics:
            p = (difference.permutation.p, difference.permutation_holm)
            pooled_of = difference.pooled
            cells = (pooled_of.value, *_ends(pooled_of.interval), *p)
            rows.append((c.first, c.second, "all", "pooled", difference.name, *cells))
        tested = (*_ends(t.interval), t.p, c.t_test_holm) if t else ()
        rows.append((c.first, c.second, "all", "folds", main_name, c.main.folds, *tested))
        for other in c.t_tests:
            found_by = (other.difference, *_ends(other.interval), other.p)
            rows.append((c.first, c.second, "t-test", other.name, main_name, *found_by))
        for k in c.classes:
            rows.append(
                (c.first, c.second, "class", k.name, "recall", k.difference.value, *_ends(k.difference.interval))
            )
        rows += [(c.first, c.second, "speaker", speaker.name, main_name, speaker.difference) for speaker in c.speakers]
        for name in ("both", "only_first", "only_second", "neither") if c.agreement else ():
            rows.append((c.first, c.second, "utterances", name, "right", getattr(c.agreement, name)))
    for row in rows:
        plain = ["" if isinstance(cell, float) and not isfinite(cell) else cell for cell in row]
        writer.writerow([*plain, *[""] * (len(CSV_HEADERS) - 1 - len(row)), table.systems[0].test.corpus])
    return stream.getvalue()


def _ends(interval: Interval | None) -> tuple[float | str, float | str]:
    return (interval.low, interval.high) if interval else ("", "")
