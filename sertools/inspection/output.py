"""What ``sertools inspect`` prints, and its page."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

import numpy as np

from sertools.corpora.problems import Problem
from sertools.evaluation.score.report import embedded, page
from sertools.inspection.findings import Findings
from sertools.inspection.measure import Measured

SHOWN_PROBLEMS = 20
WIDTH = 80


def to_text(title: str, findings: Findings, problems: Sequence[Problem], notes: Sequence[str]) -> str:
    """Everything, for a terminal of 80 columns."""
    lines = [title, ""]

    def add(text: str, indent: int = 2, hanging: int = 4) -> None:
        lines.extend(wrap(text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * hanging))

    for name, value in summary(findings):
        add(f"{name:<22}{value}", 2, 24)
    if problems:
        lines += ["", f"{len(problems)} problems (preparation will stop at them):"]
        for problem in problems[:SHOWN_PROBLEMS]:
            add(str(problem))
        if len(problems) > SHOWN_PROBLEMS:
            lines.append(f"  ... and {len(problems) - SHOWN_PROBLEMS} more")
    if findings.oddities:
        lines += ["", "Worth a look:"]
        for odd in findings.oddities:
            add(f"{odd.count:>6}  {odd.what}: {odd.advice}", 2, 10)
            lines += [f"          {name}" for name in odd.examples[:2]]
    for heading, said in (("Notes:", notes), ("Suggestions:", findings.suggestions)):
        if said:
            lines += ["", heading]
            for line in said:
                add(line)
    return "\n".join(lines) + "\n"


def summary(findings: Findings) -> list[tuple[str, str]]:
    """Names and values of what there is."""
    minutes, mean = findings.seconds / 60, findings.seconds / max(findings.utterances, 1)
    rows = [
        ("utterances", f"{findings.utterances} in {findings.recordings} recordings"),
        ("length", f"{minutes:.1f} minutes, {mean:.2f} s each on average"),
        ("speakers", str(findings.speakers) if findings.speakers else "not known"),
    ]
    if findings.genders:
        rows.append(("speakers by gender", ", ".join(f"{name} {count}" for name, count in findings.genders.items())))
    if findings.labels:
        rows.append(("classes", ", ".join(f"{name} {count}" for name, count in findings.labels.items())))
    rates = ", ".join(f"{rate} Hz {count}" for rate, count in findings.rates.items())
    return [*rows, ("sampling rates", rates)]


def to_html(
    title: str,
    findings: Findings,
    measured: Sequence[Measured],
    problems: Sequence[Problem],
    notes: Sequence[str],
    pictures: Mapping[str, bytes],
) -> str:
    """The same as a page with plots; it needs no other file."""
    read = [one for one in measured if not one.error and np.isfinite(one.level)]
    quantiles = [
        (name, *(f"{value:.{digits}f}" for value in np.quantile(values, (0, 0.05, 0.5, 0.95, 1))))
        for name, values, digits in (
            ("length, s", [one.seconds for one in read], 2),
            ("level, dB", [one.level for one in read], 1),
            ("peak", [one.peak for one in read], 3),
            ("silent frames, %", [100 * one.silent for one in read], 1),
        )
        if values
    ]
    return page("inspection.html").render(
        title=title,
        findings=findings,
        summary=summary(findings),
        quantiles=quantiles,
        problems=problems[:SHOWN_PROBLEMS],
        num_problems=len(problems),
        notes=notes,
        pictures={name: embedded(data) for name, data in pictures.items()},
    )
