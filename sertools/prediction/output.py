"""Predictions as a table, as JSON and as CSV."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from sertools.prediction.apply import EmotionModel, Failure, Prediction

DIGITS = 6


def table_header(classes: Sequence[str]) -> str:
    """The line above those of :func:`table_line`."""
    return "  ".join([f"{'label':<12}", *(f"{name:>9}" for name in classes), "seconds", "utterance"])


def table_line(prediction: Prediction) -> str:
    """One line: label, probabilities, seconds, name."""
    values = (
        f"{p:>{max(9, len(name))}.3f}" for name, p in zip(prediction.classes, prediction.probabilities, strict=True)
    )
    return "  ".join([f"{prediction.label:<12}", *values, f"{prediction.duration:7.2f}", prediction.name])


def to_csv(classes: Sequence[str], predictions: Sequence[Prediction]) -> str:
    """CSV with the header ``utterance,seconds,label,p_<class>,...``."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["utterance", "seconds", "label", *(f"p_{name}" for name in classes)])
    for p in predictions:
        writer.writerow([p.name, f"{p.duration:.3f}", p.label, *(f"{value:.9g}" for value in p.probabilities)])
    return stream.getvalue()


def to_plain(
    model: EmotionModel, experiment: str, predictions: Sequence[Prediction], failures: Sequence[Failure]
) -> dict[str, Any]:
    """All that is known, as JSON-able values: what was used, utterances with their courses, failures.

    A course is ``{"window": seconds, "times": [T], "probabilities": [T][C]}``, classes in the order of
    ``classes``.
    """
    return {
        "experiment": experiment,
        "classes": list(model.classes),
        "members": [
            {"run": name, "temperature": temperature}
            for name, temperature in zip(model.members, model.temperatures, strict=True)
        ],
        "utterances": [_plain(prediction) for prediction in predictions],
        "failures": [{"utterance": failure.name, "reason": failure.reason} for failure in failures],
    }


def _plain(prediction: Prediction) -> dict[str, Any]:
    values: dict[str, Any] = {
        "utterance": prediction.name,
        "seconds": round(prediction.duration, 4),
        "label": prediction.label,
        "probabilities": dict(zip(prediction.classes, prediction.probabilities, strict=True)),
        "notes": list(prediction.notes),
    }
    if prediction.words is not None:
        values["words"] = " ".join(prediction.words)
    if prediction.course is not None:
        course = prediction.course
        values["course"] = {
            "window": course.window,
            "times": course.times.round(4).tolist(),
            "probabilities": course.probabilities.round(DIGITS).tolist(),
        }
    return values
