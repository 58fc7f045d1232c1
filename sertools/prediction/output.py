"""Predictions as a table, as JSON and as CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sertools.partitions.target import Target
from sertools.prediction.apply import EmotionModel, Failure, Prediction, columns_of
from sertools.prediction.live import Moment
from sertools.prediction.timed import Segment

DIGITS = 6


def table_header(target: Target, timed: bool = False) -> str:
    """The line above those of :func:`table_line`."""
    columns = [f"{'start':>8}  {'end':>8}"] if timed else ["seconds"]
    label = [f"{'label':<12}"] if target.classes else []
    return "  ".join([*label, *(f"{name:>9}" for name in columns_of(target)), *columns, "utterance"])


def table_line(segment: Segment, timed: bool = False) -> str:
    """One line: label, probabilities, seconds (or start and end), name."""
    prediction = segment.prediction
    times = f"{segment.start:8.2f}  {segment.end:8.2f}" if timed else f"{prediction.duration:7.2f}"
    return "  ".join([*_values(prediction), times, segment.recording])


def _values(prediction: Prediction) -> list[str]:
    label = [f"{prediction.label:<12}"] if prediction.classes else []
    values = zip(prediction.columns, prediction.outputs, strict=True)
    return [*label, *(f"{value:>{max(9, len(name))}.3f}" for name, value in values)]


def moment_line(moment: Moment) -> str:
    """One line of a stream: seconds, label, probabilities, and how late it is."""
    behind = f", {moment.behind:.1f} s behind" if moment.behind > 0.1 else ""
    late = f"(computed in {moment.computed:.2f} s{behind})"
    if moment.prediction is None:
        return f"{moment.start:8.2f}  {moment.end:8.2f}  {'-':<12}  {moment.reason}  {late}"
    return "  ".join([f"{moment.start:8.2f}", f"{moment.end:8.2f}", *_values(moment.prediction), late])


def moment_plain(moment: Moment) -> dict[str, Any]:
    """The same as JSON-able values."""
    values: dict[str, Any] = {"start": round(moment.start, 3), "end": round(moment.end, 3)}
    if moment.prediction is None:
        values["reason"] = moment.reason
    else:
        values |= said(moment.prediction)
    return values | {"computed_seconds": round(moment.computed, 4), "behind_seconds": round(moment.behind, 3)}


def said(prediction: Prediction) -> dict[str, Any]:
    """What was predicted, as JSON-able values: label and probabilities, or the number."""
    if not prediction.classes:
        return {"prediction": prediction.outputs[0]}
    probabilities = dict(zip(prediction.classes, prediction.probabilities, strict=True))
    return {"label": prediction.label, "probabilities": probabilities}


def to_csv(target: Target, segments: Sequence[Segment], timed: bool = False) -> str:
    """CSV with the header ``utterance,seconds,label,p_<class>,...``, or with ``start,end`` in place of ``seconds``.

    Of a number, ``prediction`` stands in place of ``label,p_<class>,...``.  Where words are recognised, the last
    column is ``words``.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    heard = ["words"] if any(one.prediction.words is not None for one in segments) else []
    times = ["start", "end"] if timed else ["seconds"]
    names = ["label", *(f"p_{name}" for name in target.classes)] if target.classes else ["prediction"]
    writer.writerow(["utterance", *times, *names, *heard])
    for one in segments:
        p = one.prediction
        own = [f"{one.start:.3f}", f"{one.end:.3f}"] if timed else [f"{p.duration:.3f}"]
        row = [one.recording, *own, *([p.label] if p.classes else []), *(f"{value:.9g}" for value in p.outputs)]
        writer.writerow([*row, *([one.words] if heard else [])])
    return stream.getvalue()


def to_plain(
    model: EmotionModel, experiment: str, segments: Sequence[Segment], failures: Sequence[Failure]
) -> dict[str, Any]:
    """All that is known, as JSON-able values: what was used, utterances with their courses, failures.

    A course is ``{"window": seconds, "times": [T], "probabilities": [T][C]}``, classes in the order of
    ``classes``; of a number it has ``"values": [T]``.
    """
    return {
        "experiment": experiment,
        "target": asdict(model.target),
        "classes": list(model.classes),
        "members": [
            {"run": name, "temperature": temperature}
            for name, temperature in zip(model.members, model.temperatures, strict=True)
        ],
        "utterances": [_plain(one) for one in segments],
        "failures": [{"utterance": failure.name, "reason": failure.reason} for failure in failures],
    }


def _plain(segment: Segment) -> dict[str, Any]:
    prediction = segment.prediction
    values: dict[str, Any] = {
        "utterance": segment.recording,
        "start": round(segment.start, 4),
        "end": round(segment.end, 4),
        "seconds": round(prediction.duration, 4),
        **said(prediction),
        "notes": list(prediction.notes),
    }
    if prediction.words is not None:
        values["words"] = " ".join(prediction.words)
    if prediction.course is not None:
        course = prediction.course
        values["course"] = {"window": course.window, "times": course.times.round(4).tolist()}
        found = course.outputs.round(DIGITS)
        values["course"] |= (
            {"probabilities": found.tolist()} if prediction.classes else {"values": found[:, 0].tolist()}
        )
    return values
