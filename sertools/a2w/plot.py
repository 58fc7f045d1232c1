"""A look at attention: which part of an utterance each token was read from."""

import io
from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from sertools.lang.vocabulary import END, SPECIAL

DPI = 130


def attention_plot(weights: Tensor, tokens: Sequence[str], seconds: float, title: str) -> bytes:
    """The weights of each step over time, as the bytes of a PNG file.

    Args:
        weights: (L, T'), of the tokens and perhaps of the end symbol.
        tokens: what was put out; at most L.
        seconds: duration of the utterance.
        title: written above.
    """
    names = [*tokens, *[SPECIAL[END]] * (len(weights) - len(tokens))]
    figure = Figure(figsize=(8, 1.2 + 0.22 * max(len(names), 1)), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    if len(names):
        axes.imshow(
            weights.float().cpu().numpy(), aspect="auto", cmap="Greys", vmin=0.0, interpolation="nearest",
            extent=(0.0, seconds, len(names) - 0.5, -0.5),
        )  # fmt: skip
    # a dollar sign would begin a formula
    axes.set_yticks(range(len(names)), [name.replace("$", r"\$") for name in names], fontsize=8)
    axes.set_xlabel("seconds")
    axes.set_title(title.replace("$", r"\$"), fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
