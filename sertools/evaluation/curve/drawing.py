"""Learning curves as a table, sentences and a plot."""

from collections.abc import Sequence
from pathlib import Path

from sertools.errors import UserError
from sertools.evaluation.compare.plots import COLOURS, MARKERS
from sertools.evaluation.curve.points import Curve, Saving, read_curve, savings
from sertools.evaluation.score.plots import legend_beside, new_figure, png
from sertools.evaluation.score.results import to_json
from sertools.evaluation.score.tables import DEPENDENT
from sertools.files import replacing, write_json, write_text

TEXT, CSV, JSON, PICTURE = "curve.txt", "curve.csv", "curve.json", "curve.png"


def plot_curves(
    named: Sequence[tuple[str, Sequence[Path]]], output: Path, title: str = "", seeds: tuple[int, ...] = ()
) -> list[str]:
    """Read experiments and write their curves.

    Args:
        named: name of each system, and its experiments.
        output: folder.
        title: of table and plot.
        seeds: those that every experiment must have; empty: all that are there.

    Returns:
        Names of the files written to ``output``.

    Raises:
        UserError: see :func:`~sertools.evaluation.curve.points.read_curve`; systems predict different things.
    """
    read = [read_curve(name, paths, seeds) for name, paths in named]
    curves = [curve for curve, _ in read]
    corpora = {tuple(sorted(set(point.table.corpora.tolist()))) for curve in curves for point in curve.points}
    classes = {point.table.classes for curve in curves for point in curve.points}
    if len(corpora) > 1 or len(classes) > 1:
        raise UserError("systems on one plot must be tested on one corpus, with the same classes (or target)")
    found = [saving for one in curves for other in curves if one is not other for saving in savings(one, other)]
    said = [f"{curve.name}: {line}" for curve, lines in read for line in lines]
    write_text(output / TEXT, to_text(curves, found, said, title))
    write_text(output / CSV, _to_csv(curves))
    points = {
        curve.name: [{"size": point.size, "repetitions": point.repetitions, "score": to_json(point.score.pooled)}
                     for point in curve.points]
        for curve in curves
    }  # fmt: skip
    claims = [sentence(one, next(c for c in curves if c.name == one.first)) for one in largest(found)]
    savings_found = [to_json(saving) for saving in found]
    write_json(output / JSON, {"curves": points, "claims": claims, "savings": savings_found, "remarks": said})
    with replacing(output / PICTURE) as temporary:
        # a picture goes without its text
        marked = any(DEPENDENT in lines for _, lines in read)
        temporary.write_bytes(draw(curves, f"{title}\nSPEAKER-DEPENDENT".strip() if marked else title))
    return [TEXT, CSV, JSON, PICTURE]


def sentence(saving: Saving, curve: Curve) -> str:
    """S3a's: so many examples of the one match so many of the other."""
    metric = curve.points[0].score.metric
    one, other = (f"{metric.name} {metric.show(value)}" for value in saving.values)
    per = _per(curve)
    text = (
        f"{saving.few:.4g} examples{per} of {saving.first} ({one}) match "
        f"{saving.many:.4g} of {saving.second} ({other}), {saving.times:.3g} times as many"
    )
    if saving.difference is None:
        return f"{text}; tested in other folds, so the difference is not tested."
    low, high = (metric.show_difference(v) for v in _bounds(saving))
    return f"{text}; difference {metric.show_difference(saving.difference.value)} ({low} to {high})."


def largest(found: Sequence[Saving]) -> list[Saving]:
    """Of each pair of systems that which saves the most."""
    best: dict[tuple[str, str], Saving] = {}
    for one in found:
        known = best.get((one.first, one.second))
        if known is None or one.times > known.times:
            best[one.first, one.second] = one
    return list(best.values())


def to_text(curves: Sequence[Curve], found: Sequence[Saving], said: Sequence[str], title: str) -> str:
    """Table and sentences."""
    metric = curves[0].points[0].score.metric
    lines = [title] if title else []
    lines += [
        f"{metric.name} on test over training utterances{_per(curves[0])}, pooled, 95 % by bootstrap over speakers"
    ]
    for curve in curves:
        lines.append(f"\n{curve.name}")
        for point in curve.points:
            pooled, draws = point.score.pooled, f", {point.repetitions} draws" * (point.repetitions > 1)
            bounds = pooled.interval
            told = f" ({metric.show(bounds.low)} to {metric.show(bounds.high)})" if bounds is not None else ""
            lines.append(f"  {point.size:8.1f}   {metric.show(pooled.value)}{told}{draws}")
    own = {curve.name: curve for curve in curves}
    lines += ["", *(sentence(saving, own[saving.first]) for saving in found), "", *said]
    return "\n".join(lines).rstrip() + "\n"


def draw(curves: Sequence[Curve], title: str = "") -> bytes:
    """All curves with their intervals, the amount on a logarithmic axis: a PNG file."""
    metric = curves[0].points[0].score.metric
    figure, axes = new_figure(9.0, 4.5)
    for number, curve in enumerate(curves):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        sizes = [point.size for point in curve.points]
        values = [metric.scale * point.score.pooled.value for point in curve.points]
        axes.plot(sizes, values, color=colour, marker=marker, label=curve.name)
        for point, value in zip(curve.points, values, strict=True):
            bounds = point.score.pooled.interval
            if bounds is not None:
                axes.vlines(point.size, metric.scale * bounds.low, metric.scale * bounds.high, color=colour, alpha=0.5)
                axes.plot([point.size], [value], color=colour, marker=marker)
    chance = curves[0].points[0].score.chance
    if chance is not None:
        axes.axhline(metric.scale * chance, color="0.5", linestyle="--", linewidth=1.0, label="chance")
    axes.set_xscale("log", base=2)
    ticks = sorted({round(point.size) for curve in curves for point in curve.points})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel(f"training utterances{_per(curves[0])}")
    axes.set_ylabel(f"{metric.name}{',' * metric.percent}{metric.unit}")
    if title:
        axes.set_title(title)
    legend_beside(axes)
    return png(figure)


def _bounds(saving: Saving) -> tuple[float, float]:
    assert saving.difference is not None
    return saving.difference.interval.low, saving.difference.interval.high


def _per(curve: Curve) -> str:
    return " a class" if curve.points[0].table.classes else ""


def _to_csv(curves: Sequence[Curve]) -> str:
    metric = curves[0].points[0].score.metric
    lines = [f"system,size,repetitions,{metric.name},low,high"]
    for curve in curves:
        for point in curve.points:
            bounds = point.score.pooled.interval
            ends = f"{bounds.low:.6f},{bounds.high:.6f}" if bounds is not None else ","
            lines.append(f'"{curve.name}",{point.size:g},{point.repetitions},{point.score.pooled.value:.6f},{ends}')
    return "\n".join(lines) + "\n"
