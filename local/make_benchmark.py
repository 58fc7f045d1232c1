#!/usr/bin/env python3
"""One table of many systems on many tasks: UA with intervals, paired tests against the best simple system, costs.

    make_benchmark.py --task ravdess_four=data/folds/ravdess_four --task nemo_four=data/folds/nemo_four \\
        --simple "svm pooled_mfcc" --num-seeds 5 --output exp/benchmark exp

Reads EXP/TASK/SYSTEM/fold_*/seed_*/ of all systems that are there, those called source_* apart, and writes
benchmark.txt (also printed), .md, .csv, .json and benchmark.html.  What is not finished is named.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import sertools
from cli import at_least_one, parser, run
from sertools.errors import UserError
from sertools.evaluation.benchmark.costs import SPEED
from sertools.evaluation.benchmark.grid import OTHER, read_task, why_not_run, with_known_speeds
from sertools.evaluation.benchmark.pages import PAGE, PAGE_VERSION, TEXT, write_benchmark
from sertools.evaluation.compare.comparing import METHODS
from sertools.evaluation.curve.stored import read_curves, why_old
from sertools.evaluation.stats.registry import metric_names
from sertools.files import only_writer, read_json
from sertools.partitions.folds import FOLDS, read_folds
from sertools.provenance import Stamp, why_stale, write_stamp
from sertools.runs.folder import HISTORY, INFO, NOT_RUN, PREDICTIONS

SOURCE = "source_"


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("exp", type=Path, metavar="EXP", help="holds TASK/SYSTEM/fold_*/seed_*/")
    arguments.add_argument("--task", action="append", required=True, metavar="TASK=FOLDS", help="may be repeated")
    arguments.add_argument(
        "--curve", action="append", default=[], metavar="TASK=DIR", help="of plot_curve.py, likewise"
    )
    arguments.add_argument("--simple", default="", metavar="NAMES", help="systems that others must beat")
    arguments.add_argument("--num-seeds", type=at_least_one, default=1, help="seeds 1 .. N of every system")
    arguments.add_argument(
        "--other-settings",
        type=Path,
        metavar="FILE",
        help="of check_runs.py --report: rows say so that are named there",
    )
    arguments.add_argument("--command", default="", metavar="TEXT", help="what was run, shown on the page")
    arguments.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the table")
    options = arguments.parse_args()

    seeds = tuple(range(1, options.num_seeds + 1))
    simple = options.simple.split()
    tasks = _named("--task", options.task)
    drawn = _named("--curve", options.curve)
    curves = {name: read_curves(path) for name, path in drawn.items()}
    if unknown := sorted(curves.keys() - tasks.keys()):
        raise UserError(f"--curve {unknown[0]} is of no --task; there are {', '.join(tasks)}")
    # beside the rows of today's runs a curve of other runs would say something else
    old = {name: reason for name, path in drawn.items() if (reason := why_old(path))}
    curves = {name: found for name, found in curves.items() if name not in old}
    left_out = [
        f"The curve of {name} is left out, for the runs are not those that it was drawn from ({reason}); draw it again."
        for name, reason in old.items()
    ]
    for sentence in left_out:
        logging.warning("%s", sentence)
    named = _told(options.other_settings)
    for directory, what in named.items():
        logging.warning("NOTE: %s: %s", directory, OTHER.format(what=what))
    systems = {name: systems_of(options.exp / name) for name in tasks}
    if not any(systems.values()):
        raise UserError(f"{options.exp} has no experiments of {', '.join(tasks)}; run the stage of the systems")
    others = {
        name: {system: named[str(path)] for system, path in found.items() if str(path) in named}
        for name, found in systems.items()
    }
    # networks of other tasks, from which rows were carried
    sources = [
        f"{directory}: {OTHER.format(what=what)}." for directory, what in named.items()
        if Path(directory).name.startswith(SOURCE)
    ]  # fmt: skip
    inputs: dict[str, Path | str] = {f"{name}/folds": path / FOLDS for name, path in tasks.items()}
    for name, experiments in systems.items():
        for system, directory in experiments.items():
            of_runs = (f"fold_*/seed_*/{name}" for name in (PREDICTIONS, HISTORY, INFO))
            files = [path for pattern in (*of_runs, SPEED, NOT_RUN) for path in directory.glob(pattern)]
            inputs |= {f"{name}/{system}/{path.relative_to(directory)}": path for path in sorted(files)}
    inputs |= {f"{name}/curve{n}": path for name, found in curves.items() for n, path in enumerate(found.files)}
    settings = {"simple": simple, "seeds": list(seeds), "command": options.command, "sertools": sertools.__version__,
                "methods": METHODS, "metrics": metric_names(), "old curves": old, "other settings": named,
                "page": PAGE_VERSION}  # fmt: skip
    stamp = Stamp.of(settings, inputs)
    with only_writer(options.output):
        reason = why_stale(options.output, stamp)
        if reason is None:
            logging.info("%s is up to date", options.output)
        else:
            logging.info("making %s: %s", options.output, reason)
            run_on = [name for name in tasks if any(not (path / NOT_RUN).exists() for path in systems[name].values())]
            if not run_on:
                raise UserError(f"no system was run on {', '.join(tasks)}: {not_run_on(systems)[0]}")
            results = [
                read_task(name, read_folds(tasks[name]), systems[name], simple, seeds, others[name]) for name in run_on
            ]
            results = with_known_speeds(results)
            not_run = not_run_on({name: found for name, found in systems.items() if name not in run_on})
            files = write_benchmark(results, options.output, options.command, [*not_run, *left_out], curves, sources)
            write_stamp(options.output, stamp, files)
    print((options.output / TEXT).read_text(encoding="utf-8"))
    logging.info("the page: %s", options.output / PAGE)


def _told(path: Path | None) -> dict[str, str]:
    """Experiment to what it was trained with instead of what conf has now."""
    told = read_json(path, "local/check_runs.py --report") if path else {}
    if not isinstance(told, dict) or not all(isinstance(what, str) for what in told.values()):
        raise UserError(f"{path} is not what check_runs.py --report writes")
    return told


def _named(option: str, texts: Sequence[str]) -> dict[str, Path]:
    """TASK=PATH."""
    found = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise UserError(f"{option} takes TASK=FOLDER, not '{text}'")
        found[name] = Path(path)
    return found


def systems_of(directory: Path) -> dict[str, Path]:
    """Name of each system to its experiment."""
    found = sorted(path.parent for pattern in ("*/fold_*", f"*/{NOT_RUN}") for path in directory.glob(pattern))
    return {path.name: path for path in dict.fromkeys(found) if not path.name.startswith(SOURCE)}


def not_run_on(systems: Mapping[str, Mapping[str, Path]]) -> list[str]:
    """A sentence for each task that nothing was run on."""
    return [
        f"No system was run on {name}" + "".join(f"; {system}: {why_not_run(path)}" for system, path in found.items())
        + "."
        for name, found in systems.items()
    ]  # fmt: skip


if __name__ == "__main__":
    run(main)
