"""The course of a recording as a picture: waveform above, probabilities of the classes (or the number) below."""

from pathlib import Path, PurePosixPath

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sertools.evaluation.score.plots import DPI, GREY, percent_axis, png, tidy
from sertools.prediction.apply import Prediction
from sertools.prediction.course import Floats

# Okabe and Ito (2008), without black; more classes than colours get dashes
COLOURS = ("#D55E00", "#E69F00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#8a7a00")
DASHES = ("-", "--", ":")
COLUMNS = 2000  # of the waveform: more than the picture has
POINTS, POINTS_LONG, LONG = 400, 80, 60.0  # of a line: more are a thicket, all the more in recordings over LONG s


def draw_course(prediction: Prediction) -> bytes:
    """PNG of a prediction with a course.

    Raises:
        ValueError: it has none.
    """
    course = prediction.course
    if course is None:
        raise ValueError(f"{prediction.name} has no course to draw")
    figure = Figure(figsize=(9.6, 4.6), dpi=DPI, layout="constrained", facecolor="white")
    wave, lines = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1.9])
    low, high = _fewer(course.envelope)
    times = np.linspace(0.0, prediction.duration, len(low))
    wave.fill_between(times, low, high, color=GREY, linewidth=0.4, edgecolor=GREY, step="mid")
    peak = max(float(np.abs(course.envelope).max()), 1e-6)
    wave.set_ylim(-1.05 * peak, 1.05 * peak)
    wave.set_yticks([])
    wave.spines[:].set_visible(False)
    wave.tick_params(length=0, labelbottom=False)
    x, values, words = course.times, course.outputs, f"windows of {course.window:g} s"
    if prediction.classes:
        values = 100 * values
    if course.window == 0:
        words = "single output frames"
    if len(x) == 1:
        x, values, words = np.array([0.0, prediction.duration]), values.repeat(2, axis=0), "one window"
    most = POINTS if prediction.duration <= LONG else POINTS_LONG
    if len(x) > most:
        every = -(-len(x) // most)
        x, values = _means(x[:, None], every)[:, 0], _means(values, every)
        words += f", means over {(course.times[1] - course.times[0]) * every:.2g} s"
    for number, name in enumerate(prediction.columns):
        lines.plot(
            x, values[:, number], label=name, linewidth=1.6,
            color=COLOURS[number % len(COLOURS)], linestyle=DASHES[number // len(COLOURS) % len(DASHES)],
        )  # fmt: skip
    if prediction.classes:
        percent_axis(lines, "probability, %")
    else:
        lines.set_ylabel(prediction.target.name)
    tidy(lines)
    lines.set_xlim(0, prediction.duration)
    lines.set_xlabel("seconds")
    lines.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    whole = f"{prediction.target.name} {prediction.label}"
    if prediction.classes:
        whole = f"{prediction.label} ({100 * max(prediction.probabilities):.0f} %)"
    title = f"{_short(prediction.name)}\nas a whole: {whole}; below: {words}"
    figure.suptitle(title, fontsize=10.5)
    return png(figure)


def plot_path(directory: Path | str, name: str, common: str = "") -> Path:
    """Where the picture of an utterance goes: its name below ``common``, with ``.png``, in ``directory``."""
    name = "stdin" if name == "-" else name
    path = PurePosixPath(name)
    inside = path.relative_to(common) if common and path.is_relative_to(common) and str(path) != common else path
    parts = [part for part in inside.parts if part not in ("/", "..", ".")] or ["unnamed"]
    return Path(directory).joinpath(*parts[:-1], f"{parts[-1]}.png")


def _fewer(envelope: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lowest and highest of about COLUMNS stretches."""
    starts = np.arange(0, len(envelope), max(1, len(envelope) // COLUMNS))
    return np.minimum.reduceat(envelope[:, 0], starts), np.maximum.reduceat(envelope[:, 1], starts)


def _means(x: Floats, every: int) -> Floats:
    """Means over ``every`` rows of (T, C), the last over what is left."""
    starts = np.arange(0, len(x), every)
    means: Floats = np.add.reduceat(x, starts) / np.diff(np.append(starts, len(x)))[:, None]
    return means


def _short(name: str, characters: int = 90) -> str:
    return name if len(name) <= characters else "..." + name[3 - characters :]
