"""The table of a benchmark: for a terminal, for a text, for programs, and as a page."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import Any

from sertools.evaluation.benchmark.grid import Group, Row, TaskResult
from sertools.evaluation.compare import tables
from sertools.evaluation.curve.stored import StoredCurves
from sertools.evaluation.score.report import embedded, page
from sertools.evaluation.score.results import plain
from sertools.evaluation.score.tables import aligned, chance, warnings
from sertools.files import write_json, write_text

TEXT, MARKDOWN, CSV, JSON, PAGE = "benchmark.txt", "benchmark.md", "benchmark.csv", "benchmark.json", "benchmark.html"
PAGE_VERSION = 6
"""Counted up with every change of what is written or how it looks: tables that another made are made anew."""
COLUMNS = (
    "task", "corpus", "system", "simple", "metric", "value", "low", "high", "sd_seeds", "second_metric",
    "second_value", "dev", "difference", "difference_low", "difference_high", "p", "p_holm", "certainty", "parameters",
    "train_minutes", "real_time_factor", "utterances", "speakers", "folds", "seeds", "remarks", "setting", "reference",
)  # fmt: skip
"""New ones at the end: others read them by their places."""
INDENTED = re.compile("^( *)  ")
"""Of lines for a terminal; in Markdown their last two spaces become the mark of an item."""
BETWEEN = " | "
"""Between remarks in a cell of the CSV table."""
OVERVIEW = "The main metric of all that were run; * is the best on dev of its task and setting, a dash was not run"
NONE: Mapping[str, StoredCurves] = {}
NOTES = (
    "Rows are all experiments below the folder of the task, also of earlier commands; Holm counts them all.",
    "Intervals are 95 %, by resampling speakers (expanded percentiles): they are about other speakers for the networks "
    "as trained.",
    "Systems that hear other utterances of a tested speaker are told more, and stand apart: each such table of a "
    "task has its own reference, its own comparisons and its own best on dev.",
    "The best on dev has as many seeds as were wanted, trained with the settings of now, and so has the reference "
    "unless no simple system has.",
    "The reference of a table is the simple system with the best main metric on dev; no tested utterance chose it. "
    "Differences to it are paired over speakers; p is of a permutation test over speakers, corrected (Holm) for the "
    "number of systems in the table. Sure: the interval excludes 0 and the corrected p is below 0.05; likely: one of "
    "the two.",
    "Parameters are those in a run's checkpoint, which does not hold a pretrained network that only made features. "
    "Minutes are of one training, one fold and seed, on the machine that ran it; the real-time factor is seconds of "
    "one core for a second of speech, features and pretrained networks included. A dash: not measured.",
)


def show_interval(row: Row) -> str:
    """``71.6 (66.3 to 76.0)``."""
    main = row.test.main
    ends, show = main.pooled.interval, main.metric.show
    return show(main.pooled.value) + (f" ({show(ends.low)} to {show(ends.high)})" if ends else "")


def show_lack(row: Row) -> str:
    """`` (2 seeds, other settings)`` of a system that has fewer than were wanted, of other settings; else nothing."""
    seeds = len(row.test.seeds)
    lacks = [f"{seeds} seed{'s' * (seeds > 1)}"] * row.fewer + ["other settings"] * row.other
    return f" ({', '.join(lacks)})" if lacks else ""


def show_difference(row: Row) -> str:
    """``+8.1 (+4.6 to +11.8)``; a dash for the reference."""
    if row.comparison is None:
        return "–"
    found = row.comparison.main
    show, ends = found.metric.show_difference, found.pooled.interval
    return f"{show(found.pooled.value)} ({show(ends.low)} to {show(ends.high)})"


def show_p(row: Row) -> str:
    """Holm's p, to two digits."""
    return "–" if row.comparison is None else f"{row.comparison.main.permutation_holm:.2g}"


def show_number(value: float | None) -> str:
    """Two digits, of more than 100 all before the point; a dash for what is not known; thousands and millions as k, M.

    >>> show_number(99.7), show_number(99_600), show_number(999_600)
    ('100', '100 k', '1.0 M')
    """
    if value is None:
        return "–"
    # rounded first: what is rounded up to the next unit is shown in that
    units = (("", 1.0, 1e4), (" k", 1e3, 1e3), (" M", 1e6, inf))
    shown, letter = next((found, name) for name, size, end in units if (found := _rounded(value / size)) < end)
    if shown >= 100:
        return f"{shown:.0f}{letter}"
    return f"{shown:.1f}{letter}" if letter and shown < 10 else f"{shown:g}{letter}"


def _rounded(value: float) -> float:
    return float(f"{value:.2g}") if value < 100 else float(round(value))


def group_table(group: Group) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a task's systems of one setting: from best to worst on test, then what hears nothing."""
    metrics = group.rows[0].test.metrics
    main, second = metrics[0].metric, metrics[1].metric if len(metrics) > 1 else None
    header = ["system", f"{main.name}{main.unit} (95 % CI)", *([f"{second.name}{second.unit}"] if second else []),
              f"against {group.reference or 'the reference'}", "p (Holm)", "certainty", f"dev {main.name}{main.unit}",
              "parameters", "minutes", "RTF"]  # fmt: skip
    rows = []
    for row in sorted_rows(group):
        name = row.name + (" (reference)" if row.name == group.reference else "") + show_lack(row)
        certainty = "–" if row.comparison is None else {"none": "no difference shown"}.get(
            row.comparison.certainty, row.comparison.certainty)  # fmt: skip
        other = [second.show(row.test.metrics[1].pooled.value)] if second else []
        dev = main.show(row.dev.main.pooled.value) if row.dev else "–"
        rows.append([name, show_interval(row), *other, show_difference(row), show_p(row), certainty, dev,
                     show_number(row.cost.parameters), show_number(row.cost.minutes),
                     show_number(row.cost.real_time_factor)])  # fmt: skip
    if metrics[0].chance is not None:
        name = main.chance_name or "chance"
        other = [second.show(metrics[1].chance)] if second else []
        rows.append(
            [f"nothing heard: {name}", main.show(metrics[0].chance), *other, *["–"] * (len(header) - 2 - len(other))]
        )
    return header, rows


def task_tables(task: TaskResult) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, header and rows of each setting's systems; the plain ones have no title."""
    return [(group.setting.title, *group_table(group)) for group in task.groups]


def sorted_rows(group: Group) -> list[Row]:
    """From best to worst on test."""
    return sorted(group.rows, key=lambda row: (-row.test.main.metric.sign * row.test.main.pooled.value, row.name))


def overview(tasks: Sequence[TaskResult]) -> tuple[list[str], list[list[str]]]:
    """Systems by tasks: the main metric alone, the best of a task and setting marked with a star."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for task in tasks:
        for group in task.groups:
            for row in group.rows:
                main, star = row.test.main, " *" if row is group.best else ""
                shown = f"{main.metric.show(main.pooled.value)}{star}{show_lack(row)}"
                found.setdefault((group.setting.name, row.name), {})[task.name] = shown
    rows = [
        [f"{name} ({setting})" if setting else name, *(found[setting, name].get(task.name, "–") for task in tasks)]
        for setting, name in sorted(found, key=lambda key: key[0])
    ]
    chances = [task.rows[0].test.main for task in tasks]
    rows.append(["chance", *(chance.metric.show(chance.chance) for chance in chances)])
    return ["system", *(task.name for task in tasks)], rows


def task_sentences(task: TaskResult) -> list[str]:
    """What must be known of a task, whichever the system."""
    return list(dict.fromkeys(warnings(task.rows[0].test, remarks=task.folds.remarks)))


def notes_of_systems(task: TaskResult) -> list[tuple[str, list[str]]]:
    """What must be known of some of its systems: their names, and sentences about all of these."""
    names_of: dict[str, list[str]] = {}
    for row in task.rows:
        for line in row.remarks:
            if line not in task.folds.remarks:
                names_of.setdefault(line, []).append(row.name)
    lines_of: dict[str, list[str]] = {}
    for line, names in names_of.items():
        lines_of.setdefault(", ".join(dict.fromkeys(names)), []).append(line)
    return [*lines_of.items(), *((f"{name} is not in the table", [why]) for name, why in task.unfinished)]


def sentences(task: TaskResult) -> list[str]:
    """All of it, for programs: each sentence with its systems."""
    return task_sentences(task) + [f"{names}: {line}" for names, lines in notes_of_systems(task) for line in lines]


def _listed(task: TaskResult) -> list[str]:
    """The same as lines, those of some systems indented under their names."""
    found = [f"  {line}" for line in task_sentences(task)]
    for names, lines in notes_of_systems(task):
        found += [f"  {names}: {lines[0]}"] if len(lines) == 1 else [f"  {names}:", *(f"    {one}" for one in lines)]
    return found


def remarks(task: TaskResult, row: Row) -> list[str]:
    """What must be known of one row, by itself."""
    return list(dict.fromkeys(warnings(row.test, remarks=[*task.folds.remarks, *row.remarks])))


def about(task: TaskResult) -> str:
    """The task in a line."""
    first = task.rows[0].test
    seeds = max(len(row.test.seeds) for row in task.rows)
    return (
        f"{first.corpus}: {', '.join(first.classes) or task.folds.target.name}; {first.num_utterances} utterances, "
        f"{first.num_speakers} speakers, {len(first.folds)} fold{'s' * (len(first.folds) > 1)}, {seeds} "
        f"seed{'s' * (seeds > 1)} (chance: {chance(first)}). {task.folds.description.rstrip('.')}"
    )


def write_benchmark(
    tasks: Sequence[TaskResult], output: Path, command: str = "", not_run: Sequence[str] = (),
    curves: Mapping[str, StoredCurves] = NONE, sources: Sequence[str] = (),
) -> list[str]:  # fmt: skip
    """Write the table as text, Markdown, CSV, JSON and a page.

    Args:
        tasks: at least one.
        output: folder.
        command: what was run, shown on the page.
        not_run: sentences about what was not, and on curves that are left out.
        curves: name of a task to curves of its systems.
        sources: sentences about networks of other tasks, from which systems were carried.

    Returns:
        Names of the files.
    """
    header, rows = overview(tasks)
    lines = [f"{OVERVIEW}.", "", *aligned(header, rows)]
    marked = [lines[0], "\n".join(_markdown(header, rows))]
    for task in tasks:
        lines += ["", f"{task.name}: {about(task)}", *_listed(task)]
        listed = [INDENTED.sub(r"\1- ", line) for line in _listed(task)]
        marked += [f"**{task.name}**: {about(task)}", *(["\n".join(listed)] if listed else [])]
        for title, head, body in task_tables(task):
            lines += [*(["", f"{task.name}, {title}"] if title else []), "", *aligned(head, body, left=1)]
            marked += [*([f"**{task.name}, {title}**"] if title else []), "\n".join(_markdown(head, body))]
        if task.name in curves:
            for rows_of in (curves[task.name].points, curves[task.name].comparisons):
                lines += ["", *aligned(*rows_of, left=1)]
            lines += ["", *curves[task.name].notes, *curves[task.name].claims]
    last = [*not_run, *sources]
    lines += ["", *NOTES, *last]
    marked += ["\n".join(f"- {line}" for line in last)] if last else []
    write_text(output / TEXT, "\n".join(lines) + "\n")
    write_text(output / MARKDOWN, "\n\n".join(marked) + "\n")
    write_text(output / CSV, _csv(tasks))
    told = {"command": command, "not_run": list(not_run), "sources": list(sources)}
    write_json(output / JSON, {**told, "tasks": [_plain(task) for task in tasks]})
    shown = [
        (task.name, about(task), task_sentences(task), task_tables(task), notes_of_systems(task)) for task in tasks
    ]
    text = page("benchmark.html").render(
        title=f"{len(tasks)} task{'s' * (len(tasks) > 1)}, {len(rows) - 1} systems",
        command=command, caption=OVERVIEW, header=header, rows=rows, tasks=shown, notes=NOTES, last=last,
        curves=curves, pictures={name: embedded(found.picture) for name, found in curves.items()},
        synthetic=any(task.rows[0].test.synthetic for task in tasks),
    )  # fmt: skip
    write_text(output / PAGE, text)
    return [TEXT, MARKDOWN, CSV, JSON, PAGE]


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    return [line(header), "|" + "---|" * len(header), *map(line, rows)]


def _plain(task: TaskResult) -> dict[str, Any]:
    return {
        "task": task.name, "corpus": task.rows[0].test.corpus,
        "groups": [
            {"setting": group.setting.name, "reference": group.reference,
             "best_on_dev": group.best.name if group.best else None}
            for group in task.groups
        ],
        "remarks": sentences(task), "unfinished": dict(task.unfinished),
        "systems": [
            {key: value for key, value in zip(COLUMNS, _cells(task, group, row), strict=True)
             if key not in ("task", "corpus")}
            | {"cost": plain(asdict(row.cost)),
               "verdict": tables.verdict(row.comparison) if row.comparison else ""}
            for group in task.groups for row in group.rows
        ],
    }  # fmt: skip


def _cells(task: TaskResult, group: Group, row: Row) -> list[Any]:
    main, second = row.test.main, row.test.metrics[1] if len(row.test.metrics) > 1 else None
    ends, found = main.pooled.interval, row.comparison.main if row.comparison else None
    return [
        task.name, row.test.corpus, row.name, row.simple, main.name, main.pooled.value,
        ends.low if ends else None, ends.high if ends else None, main.pooled.sd_seeds,
        second.name if second else None, second.pooled.value if second else None,
        row.dev.main.pooled.value if row.dev else None,
        *((found.pooled.value, found.pooled.interval.low, found.pooled.interval.high, found.permutation.p,
           found.permutation_holm, row.comparison.certainty if row.comparison else None) if found else [None] * 6),
        row.cost.parameters, row.cost.minutes, row.cost.real_time_factor, row.test.num_utterances,
        row.test.num_speakers, len(row.test.folds), len(row.test.seeds), remarks(task, row),
        group.setting.name, group.reference,
    ]  # fmt: skip


def _csv(tasks: Sequence[TaskResult]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for task in tasks:
        for group in task.groups:
            for row in group.rows:
                cells = _cells(task, group, row)
                shown = (BETWEEN.join(cell) if isinstance(cell, list) else plain(cell) for cell in cells)
                writer.writerow(["" if cell is None else cell for cell in shown])
    return stream.getvalue()
