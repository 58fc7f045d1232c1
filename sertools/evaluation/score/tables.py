"""Results as tables: for people in a terminal (text) and for programs (tidy CSV)."""

import csv
import io
from collections.abc import Sequence
from math import isnan

from sertools.evaluation.score.results import Results, Score
from sertools.evaluation.score.word_errors import HEADER, WHEN, WordErrors
from sertools.evaluation.stats.calibration import TemperatureScaling

HEADERS = ("part", "metric", "averaging", "scope", "name", "value", "low", "high", "sd_folds", "sd_seeds", "utterances")


CALIBRATION = ("probabilities (test)", "ECE %", "NLL")


def percent(value: float | None) -> str:
    """``0.7164`` as ``71.6``; a dash for what is not defined."""
    return "–" if value is None or isnan(value) else f"{100 * value:.1f}"


def scores(results: Results) -> list[tuple[str, str, str, Score]]:
    """The four results: metric, averaging as a word, averaging in words, score."""
    return [
        ("UA", "pooled", "all utterances pooled", results.ua_pooled),
        ("UA", "folds", "mean of folds", results.ua_folds),
        ("WA", "pooled", "all utterances pooled", results.wa_pooled),
        ("WA", "folds", "mean of folds", results.wa_folds),
    ]


def calibration_rows(scaling: TemperatureScaling) -> list[list[str]]:
    """Rows of the table of calibration: what the probabilities are, ECE in percent, NLL in nats."""
    rows = [["as the models gave them", percent(scaling.raw.ece), f"{scaling.raw.nll:.3f}"]]
    if scaling.calibrated is None:
        return [*rows, ["calibrated: no dev rows", "–", "–"]]
    temperatures = [temperature for *_, temperature in scaling.temperatures]
    words = f"calibrated, temperatures {min(temperatures):.2f} to {max(temperatures):.2f}"
    return [*rows, [words, percent(scaling.calibrated.ece), f"{scaling.calibrated.nll:.3f}"]]


def warnings(results: Results, description: str = "", remarks: Sequence[str] = ()) -> list[str]:
    """What a reader must know before any number, in the order of importance; remarks are those of the runs."""
    lines = []
    if results.synthetic:
        lines.append(f"SYNTHETIC SPEECH ({results.corpus}): these numbers say nothing about human speech")
    if results.speaker_dependent:
        lines.append("SPEAKER-DEPENDENT: tested speakers also trained; not comparable with speaker-independent results")
    lines += remarks
    return [*lines, description] if description else lines


def word_error_rows(found: Sequence[WordErrors]) -> list[list[str]]:
    """Rows of the table of word errors, under word_errors.HEADER."""
    rows = []
    for one in found:
        name = {"all": "all", "class": one.name, "length": f"references of {one.name}"}[one.scope]
        between = (
            f"[{percent(one.intervals[2].low)}, {percent(one.intervals[2].high)}]" if len(one.intervals) > 2 else "–"
        )
        values = [percent(one.before), percent(one.after), percent(one.change), between]
        rows.append([name, str(one.utterances), str(one.words), *values])
    return rows


def to_text(
    test: Results,
    dev: Results | None = None,
    description: str = "",
    remarks: Sequence[str] = (),
    words: Sequence[WordErrors] = (),
) -> str:
    """The tables of results.txt.

    Args:
        test: results on the test parts.
        dev: results on the dev parts, shown last; None if there are none.
        description: what the folds are, shown below the warnings.
        remarks: see :func:`warnings`.
        words: word errors, for systems that recognise words.
    """
    lines = [*warnings(test, description, remarks), _summary(test), "", *_main(test), ""]
    if test.calibration:
        lines += [*aligned(CALIBRATION, calibration_rows(test.calibration)), ""]
    per_fold = [[f.name, f.num_utterances, f.num_speakers, percent(f.ua), percent(f.wa)] for f in test.by_fold]
    lines += [*aligned(["fold (test)", "utterances", "speakers", "UA %", "WA %"], per_fold), ""]
    per_class = [[c.name, c.count, *map(percent, (c.recall, c.precision, c.f1))] for c in test.by_class]
    lines += [*aligned(["class (test)", "utterances", "recall %", "precision %", "F1 %"], per_class), ""]
    shares = [[name, *map(percent, row)] for name, row in zip(test.classes, test.confusion_shares, strict=True)]
    lines += aligned(["true \\ recognised, %", *test.classes], shares)
    if words:
        lines += ["", *aligned(HEADER, word_error_rows(words))]
    if dev:
        lines += ["", "For comparison only, since the epochs were chosen on it:", _summary(dev), "", *_main(dev)]
    return "\n".join(lines) + "\n"


def _summary(results: Results) -> str:
    return (
        f"{results.corpus}, {results.part} parts: {results.num_utterances} utterances, "
        f"{results.num_speakers} speakers, {len(results.folds)} folds, "
        f"{len(results.seeds)} {'seed' if len(results.seeds) == 1 else 'seeds'}, "
        f"{len(results.classes)} classes (chance: UA {percent(results.chance_ua)} %, WA {percent(results.chance_wa)} %)"
    )


def _main(results: Results) -> list[str]:
    rows = [
        [metric, words, percent(value.value), _interval(value), percent(value.sd_folds), percent(value.sd_seeds)]
        for metric, _, words, value in scores(results)
    ]
    return aligned([results.part, "averaging", "%", "95 % CI", "sd folds", "sd seeds"], rows, left=2)


def _interval(value: Score) -> str:
    return f"[{percent(value.interval.low)}, {percent(value.interval.high)}]" if value.interval else "–"


def aligned(header: Sequence[str], rows: Sequence[Sequence[object]], left: int = 1) -> list[str]:
    """Aligned columns, the first ``left`` of them to the left."""
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        return "  ".join(padded).rstrip()

    return [line(cells[0]), "-" * (sum(widths) + 2 * (len(widths) - 1)), *map(line, cells[1:])]


def to_csv(parts: Sequence[Results], words: Sequence[WordErrors] = ()) -> str:
    """All numbers of ``parts`` and of word errors as tidy CSV, one number a row; what does not apply is empty.

    Shares are in 0 .. 1, NLL is in nats.

    ``scope`` is all, fold, run (``name`` is ``fold>seed``), speaker, class, confusion (``name`` is
    ``true>recognised``, value a count summed over seeds), calibration (``name`` is raw or calibrated; the
    temperatures are of scope run) or chance.  WER is ``before`` or ``after`` joint training in place of an
    averaging, of scope all, length or class.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, HEADERS, restval="", lineterminator="\n")
    writer.writeheader()
    for results in parts:
        for metric, averaging, _, value in scores(results):
            low, high = (value.interval.low, value.interval.high) if value.interval else ("", "")
            writer.writerow(
                {
                    "part": results.part, "metric": metric, "averaging": averaging, "scope": "all", "name": "all",
                    "value": value.value, "low": low, "high": high, "sd_folds": _or_empty(value.sd_folds),
                    "sd_seeds": _or_empty(value.sd_seeds), "utterances": results.num_utterances,
                }
            )  # fmt: skip
        for metric, averaging, scope, name, number, count in _details(results):
            writer.writerow(
                {
                    "part": results.part, "metric": metric, "averaging": averaging, "scope": scope, "name": name,
                    "value": _or_empty(number), "utterances": count,
                }
            )  # fmt: skip
    for one in words:
        for number, rate in enumerate((one.before, one.after)):
            if rate is not None:
                ends = one.intervals[number] if one.intervals else None
                writer.writerow(
                    {
                        "part": "test", "metric": "WER", "averaging": WHEN[number], "scope": one.scope,
                        "name": one.name, "value": rate, "low": ends.low if ends else "",
                        "high": ends.high if ends else "", "utterances": one.utterances,
                    }
                )  # fmt: skip
    return stream.getvalue()


def _details(results: Results) -> list[tuple[str, str, str, str, float | None, int | str]]:
    rows: list[tuple[str, str, str, str, float | None, int | str]] = []
    for scope, groups in (("fold", results.by_fold), ("speaker", results.by_speaker)):
        for group in groups:
            rows.append(("UA", "pooled", scope, group.name, group.ua, group.num_utterances))
            rows.append(("WA", "pooled", scope, group.name, group.wa, group.num_utterances))
            if scope == "fold":
                for seed, ua, wa in zip(results.seeds, group.ua_by_seed, group.wa_by_seed, strict=True):
                    rows.append(("UA", "pooled", "run", f"{group.name}>{seed}", ua, group.num_utterances))
                    rows.append(("WA", "pooled", "run", f"{group.name}>{seed}", wa, group.num_utterances))
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
    rows.append(("UA", "pooled", "chance", "uniform", results.chance_ua, results.num_utterances))
    rows.append(("WA", "pooled", "chance", "most frequent class", results.chance_wa, results.num_utterances))
    return rows


def _or_empty(value: float | None) -> float | str:
    return "" if value is None or isnan(value) else value
