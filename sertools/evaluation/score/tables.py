"""Results as tables: for people in a terminal (text) and for programs (tidy CSV)."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from math import isnan
from types import MappingProxyType

from sertools.evaluation.score.baselines import baseline_rows
from sertools.evaluation.score.results import Results, Score
from sertools.evaluation.stats.calibration import TemperatureScaling
from sertools.evaluation.stats.metric import Metric
from sertools.runs.extras.extra import Extra

HEADERS = (
    "part", "metric", "averaging", "scope", "name", "value", "low", "high", "sd_folds", "sd_seeds", "utterances",
    "sd_repetitions", "corpus",
)  # fmt: skip
CALIBRATION = ("probabilities (test)", "ECE %", "NLL")
SYNTHETIC = "SYNTHETIC SPEECH ({corpus}): these numbers say nothing about human speech"
DEPENDENT = "SPEAKER-DEPENDENT: tested speakers also trained; not comparable with speaker-independent results"


def percent(value: float | None) -> str:
    """``0.7164`` as ``71.6``; a dash for what is not defined."""
    return "–" if value is None or isnan(value) else f"{100 * value:.1f}"


def scores(results: Results) -> list[tuple[Metric, str, str, Score]]:
    """The results: metric, averaging as a word, averaging in words, score."""
    return [
        row
        for found in results.metrics
        for row in (
            (found.metric, "pooled", "all utterances pooled", found.pooled),
            (found.metric, "folds", "mean of folds", found.folds),
        )
    ]


def score_rows(results: Results, between: Callable[[str, str], str]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of results, which begin with two columns of words.

    Args:
        results: what is shown.
        between: the ends of an interval to a cell.
    """
    in_percent = all(found.metric.percent for found in results.metrics)
    repeated = len(results.repetitions) > 1
    header = ["metric", "averaging", "%" if in_percent else "value", "95 % CI", "sd over folds", "sd over seeds"]
    rows = []
    for metric, _, words, value in scores(results):
        name = metric.name if in_percent else f"{metric.name}{metric.unit}"
        ends = value.interval
        cells = [metric.show(value.value), between(metric.show(ends.low), metric.show(ends.high)) if ends else "–"]
        deviations = [value.sd_folds, value.sd_seeds, *([value.sd_repetitions] if repeated else [])]
        rows.append([name, words, *cells, *map(metric.show, deviations)])
    return [*header, *(["sd over repetitions"] if repeated else [])], rows


def calibration_rows(scaling: TemperatureScaling) -> list[list[str]]:
    """Rows of the table of calibration: what the probabilities are, ECE in percent, NLL in nats."""
    rows = [["as the models gave them", percent(scaling.raw.ece), f"{scaling.raw.nll:.3f}"]]
    if scaling.calibrated is None:
        return [*rows, ["calibrated: no dev rows", "–", "–"]]
    temperatures = [temperature for *_, temperature in scaling.temperatures]
    words = f"calibrated, temperatures {min(temperatures):.2f} to {max(temperatures):.2f}"
    return [*rows, [words, percent(scaling.calibrated.ece), f"{scaling.calibrated.nll:.3f}"]]


def calibration_note(scaling: TemperatureScaling) -> str:
    """What is to be known of the calibrated probabilities; empty where there are none."""
    if scaling.calibrated is None:
        return ""
    runs = len(scaling.temperatures)
    note = (
        f"The probabilities of {scaling.kept} of {runs} runs were kept as the models gave them: there no temperature "
        "surely helped dev speakers that were held out."
        if scaling.kept
        else f"In all {runs} runs a temperature helped dev speakers that were held out."
    )
    if scaling.calibrated.nll > scaling.raw.nll:
        note += " On the test parts calibration made the probabilities worse (a higher NLL)."
    return note


def warnings(results: Results, description: str = "", remarks: Sequence[str] = ()) -> list[str]:
    """What a reader must know before any number, in the order of importance.

    Args:
        results: what the numbers are.
        description: of the folds, last.
        remarks: those of the folds and of the runs, see :func:`~sertools.runs.folder.remarks`.
    """
    lines = []
    if results.synthetic:
        lines.append(SYNTHETIC.format(corpus=results.corpus))
    if results.speaker_dependent:
        lines.append(DEPENDENT)
    lines += remarks
    lines += lacking(results)
    return [*lines, description] if description else lines


def lacking(results: Results) -> list[str]:
    """A sentence if some folds' parts lack a class: their UA, which the mean of folds takes, is of fewer classes."""
    folds = [fold for fold in results.by_fold if fold.lacks]
    if not folds:
        return []
    shown = "; ".join(f"{fold.name} has no {', '.join(fold.lacks)}" for fold in folds[:5])
    more = f"; and {len(folds) - 5} more" if len(folds) > 5 else ""
    return [
        f"{len(folds)} of {len(results.by_fold)} folds lack a class in their {results.part} part ({shown}{more}): "
        "their UA, which the mean of folds takes in, is the mean over the classes that they have"
    ]


def to_text(
    test: Results,
    dev: Results | None = None,
    description: str = "",
    remarks: Sequence[str] = (),
    extras: Mapping[str, Extra] = MappingProxyType({}),
) -> str:
    """The tables of results.txt.

    Args:
        test: results on the test parts.
        dev: results on the dev parts, shown last; None if there are none.
        description: what the folds are, shown below the warnings.
        remarks: see :func:`warnings`.
        extras: what else the runs left.
    """
    lines = [*warnings(test, description, remarks), summary(test), "", *_main(test), ""]
    lines += [*aligned(*baseline_rows(test)), ""]
    if test.calibration:
        lines += [*aligned(CALIBRATION, calibration_rows(test.calibration))]
        lines += [note] if (note := calibration_note(test.calibration)) else []
        lines += [""]
    header, rows = fold_rows(test)
    lines += [*aligned(header, rows)]
    if test.classes:
        per_class = [[c.name, c.count, *map(percent, (c.recall, c.precision, c.f1))] for c in test.by_class]
        lines += ["", *aligned(["class (test)", "utterances", "recall %", "precision %", "F1 %"], per_class), ""]
        shares = [[name, *map(percent, row)] for name, row in zip(test.classes, test.confusion_shares, strict=True)]
        lines += aligned(["true \\ recognised, %", *test.classes], shares)
    for extra in extras.values():
        lines += ["", *(aligned(extra.header, extra.rows) if extra.header else [f"{extra.title}: {extra.caption}"])]
    if dev:
        lines += ["", "For comparison only, since the epochs were chosen on it:", summary(dev), "", *_main(dev)]
    return "\n".join(lines) + "\n"


def fold_rows(results: Results) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of folds: the first two metrics, of several repetitions with their number."""
    shown = [found.metric for found in results.metrics[:2]]
    repeated = len(results.repetitions) > 1
    header = [f"fold ({results.part})", *(["repetition"] if repeated else []), "utterances", "speakers"]
    rows = [
        [
            fold.name, *([str(fold.repetition)] if repeated else []), str(fold.num_utterances), str(fold.num_speakers),
            *(metric.show(fold.values[metric.name]) for metric in shown),
        ]
        for fold in results.by_fold
    ]  # fmt: skip
    return [*header, *(f"{metric.name}{metric.unit}" for metric in shown)], rows


def summary(results: Results) -> str:
    """What was tested, in a line, with what chance gives."""
    count = len(results.seeds)
    parts = [
        f"{results.num_utterances} utterances", f"{results.num_speakers} speakers", f"{len(results.folds)} folds",
        *([f"{len(results.repetitions)} repetitions"] if len(results.repetitions) > 1 else []),
        f"{count} {'seed' if count == 1 else 'seeds'}",
        *([f"{len(results.classes)} classes"] if results.classes else []),
    ]  # fmt: skip
    return f"{results.corpus}, {results.part} parts: {', '.join(parts)} (chance: {chance(results)})"


def chance(results: Results) -> str:
    """What a system that hears nothing would have, in the first metrics that say so."""
    known = [found for found in results.metrics if found.chance is not None][:2]
    return ", ".join(f"{found.name} {found.metric.show(found.chance)}{found.metric.unit}" for found in known)


def _main(results: Results) -> list[str]:
    header, rows = score_rows(results, lambda low, high: f"[{low}, {high}]")
    header = [name.replace("sd over", "sd") for name in header]
    return aligned([results.part, *header[1:]], rows, left=2)


def aligned(header: Sequence[str], rows: Sequence[Sequence[object]], left: int = 1) -> list[str]:
    """Aligned columns, the first ``left`` of them to the left."""
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        return "  ".join(padded).rstrip()

    return [line(cells[0]), "-" * (sum(widths) + 2 * (len(widths) - 1)), *map(line, cells[1:])]


def to_csv(
    parts: Sequence[Results], extras: Mapping[str, Extra] = MappingProxyType({}), remarks: Sequence[str] = ()
) -> str:
    """All numbers of ``parts`` and of extras as tidy CSV, one number a row; what does not apply is empty.

    Shares are in 0 .. 1, NLL is in nats, numbers in the unit of the target.

    ``scope`` is remark (``name`` is a sentence that a reader must know), all, fold, run (``name`` is
    ``fold>seed``), speaker, class, confusion (``name`` is ``true>recognised``, value a count summed over
    repetitions and seeds), calibration (``name`` is raw or calibrated; the temperatures are of scope run) or
    chance.  Extras have scopes of their own.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, HEADERS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({"scope": "remark", "name": line} for line in remarks)
    for results in parts:
        place = {"part": results.part, "corpus": results.corpus}
        for metric, averaging, _, value in scores(results):
            low, high = (value.interval.low, value.interval.high) if value.interval else (None, None)
            numbers = {
                "value": value.value, "low": low, "high": high, "sd_folds": value.sd_folds, "sd_seeds": value.sd_seeds,
                "sd_repetitions": value.sd_repetitions,
            }  # fmt: skip
            names = {"metric": metric.name, "averaging": averaging, "scope": "all", "name": "all"}
            shown = {key: _or_empty(number) for key, number in numbers.items()}
            writer.writerow(place | names | shown | {"utterances": results.num_utterances})
        for metric_name, averaging, scope, name, number, count in _details(results):
            writer.writerow(
                place
                | {
                    "metric": metric_name, "averaging": averaging, "scope": scope, "name": name,
                    "value": _or_empty(number), "utterances": count,
                }
            )  # fmt: skip
    for extra in extras.values():
        writer.writerows(extra.csv)
    return stream.getvalue()


def _details(results: Results) -> list[tuple[str, str, str, str, float | None, int | str]]:
    rows: list[tuple[str, str, str, str, float | None, int | str]] = []
    for scope, groups in (("fold", results.by_fold), ("speaker", results.by_speaker)):
        for group in groups:
            for name, value in group.values.items():
                rows.append((name, "pooled", scope, group.name, value, group.num_utterances))
            for number, seed in enumerate(results.seeds) if scope == "fold" else ():
                for name, values in group.by_seed.items():
                    rows.append((name, "pooled", "run", f"{group.name}>{seed}", values[number], group.num_utterances))
    for of_class in results.by_class:
        for metric, value in (("recall", of_class.recall), ("precision", of_class.precision), ("F1", of_class.f1)):
            rows.append((metric, "pooled", "class", of_class.name, value, of_class.count))
    for truth, counts in zip(results.classes, results.confusion, strict=True):
        for recognised, count in zip(results.classes, counts, strict=True):
            rows.append(("count", "pooled", "confusion", f"{truth}>{recognised}", count, ""))
    if results.calibration:
        for name, measured in (("raw", results.calibration.raw), ("calibrated", results.calibration.calibrated)):
            if measured:
                rows.append(("ECE", "pooled", "calibration", name, measured.ece, results.num_utterances))
                rows.append(("NLL", "pooled", "calibration", name, measured.nll, results.num_utterances))
        for fold, seed, value in results.calibration.temperatures:
            rows.append(("temperature", "", "run", f"{fold}>{seed}", value, ""))
    for found in results.metrics:
        if found.chance is not None:
            name = found.metric.chance_name
            rows.append((found.name, "pooled", "chance", name, found.chance, results.num_utterances))
    return rows


def _or_empty(value: float | None) -> float | str:
    return "" if value is None or isnan(value) else value
