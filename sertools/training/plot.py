"""Curves of one or several trainings, from their histories, as the bytes of a PNG file."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sertools.documents import MAX_JSON_BYTES, parse_json, read_text
from sertools.errors import UserError
from sertools.files import require
from sertools.training.loop import HISTORY

DPI = 160
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
NAMES = {
    "train_loss": "training loss", "dev_loss": "dev loss", "dev_per": "dev phone error rate, %",
    "dev_objective": "dev objective, nats a frame", "dev_ua": "dev UA", "dev_wa": "dev WA",
}  # fmt: skip


def read_history(directory: Path | str) -> list[dict[str, Any]]:
    """The entries of ``history.jsonl``, one an epoch.

    Raises:
        UserError: it is missing or damaged.
    """
    path = require(Path(directory) / HISTORY, "a training stage (local/train_asr.py, local/train_emotion.py)")
    try:
        return [parse_json(line) for line in read_text(path, MAX_JSON_BYTES).splitlines()]
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); run the training stage again") from error


def training_plot(histories: Mapping[str, Sequence[Mapping[str, Any]]], keys: Sequence[str]) -> bytes:
    """One panel for each of ``keys``, over epochs; one line for each history that has it.

    Raises:
        UserError: no history has one of the keys.
    """
    figure = Figure(figsize=(4.4 * len(keys), 3.6), dpi=DPI, layout="constrained")
    panels = figure.subplots(1, len(keys), squeeze=False)[0]
    for axes, key in zip(panels, keys, strict=True):
        drawn = False
        for (name, history), colour in zip(histories.items(), COLOURS * (len(histories) // 7 + 1), strict=False):
            points = [(entry["epoch"], entry[key]) for entry in history if key in entry]
            if points:
                axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.6, marker=".", label=name)
                drawn = True
        if not drawn:
            known = sorted({key for history in histories.values() for key in history[0]})
            raise UserError(f"no training has '{key}'; there are {', '.join(known)}")
        axes.set_title(NAMES.get(key, key), fontsize=10)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color="#d9dee5", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].legend(fontsize=8, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
