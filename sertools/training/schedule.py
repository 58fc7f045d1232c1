"""Values that change while training goes on, as functions of the part of training that is done."""

from itertools import pairwise


def piecewise_linear(text: str, progress: float) -> float:
    """A Kaldi schedule such as ``0,0@0.20,0.5@0.50,0`` at ``progress`` in [0, 1].

    Points are ``value@progress``; the first and last may leave out 0 and 1.  Between points the
    value is interpolated, before the first and after the last it is constant.

    Raises:
        ValueError: not such a text.

    Example:
        >>> piecewise_linear("0,0@0.20,0.5@0.50,0", 0.35)
        0.25
    """
    points = _points(text)
    if progress <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in pairwise(points):
        if progress <= x1:
            return y0 + (y1 - y0) * (progress - x0) / (x1 - x0)
    return points[-1][1]


def check_schedule(name: str, schedule: str | float, high: float = 1.0) -> None:
    """Check a schedule when it is read, and not after hours.

    Raises:
        ValueError: not a text as for :func:`piecewise_linear`; a value is not in 0 .. ``high``.
    """
    for _, value in _points(str(schedule)):
        if not 0 <= value <= high:
            raise ValueError(f"{name}: {value:g} in schedule '{schedule}' is not in 0 .. {high:g}")


def _points(text: str) -> list[tuple[float, float]]:
    """Progress and value of each point, in order."""
    parts = [part.strip() for part in text.split(",")]
    points = []
    for i, part in enumerate(parts):
        value, at, where = part.partition("@")
        if not at and 0 < i < len(parts) - 1:
            raise ValueError(f"schedule '{text}': inner point '{part}' needs @progress")
        try:
            points.append((float(where) if at else float(i > 0), float(value)))
        except ValueError:
            raise ValueError(f"schedule '{text}': '{part}' is not value@progress") from None
    if sorted(points) != points:
        raise ValueError(f"schedule '{text}': points must be in order of progress")
    if not all(0 <= at <= 1 for at, _ in points):
        raise ValueError(f"schedule '{text}': progress must be in 0 .. 1")
    return points


def learning_rate(initial: float, final: float, warmup: float, progress: float) -> float:
    """Kaldi's exponential decay from ``initial`` to ``final``, after a linear rise.

    Args:
        initial, final: rates at the start and at the end.
        warmup: part of training during which the rate rises from 0.
        progress: part of training that is done.
    """
    rate = initial * (final / initial) ** progress
    return float(rate * min(1.0, progress / warmup) if warmup > 0 else rate)


def linear_learning_rate(initial: float, final: float, warmup: float, progress: float) -> float:
    """A linear rise from 0 to ``initial`` while ``warmup`` lasts, then a linear fall to ``final`` at the end."""
    if progress < warmup:
        return initial * progress / warmup
    return initial + (final - initial) * (progress - warmup) / (1 - warmup)
