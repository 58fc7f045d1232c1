"""``sertools check``: whether folds and predictions keep the contract."""

import argparse
from pathlib import Path

DOC = """Say what is missing, contradicts itself or leaks in folds and prediction tables, of any system.

    sertools check data/folds/strict                             # or folds.json
    sertools check data/folds/strict exp/mine                    # all fold_*/seed_*/predictions.csv in it
    sertools check folds.json theirs.csv

Tables that are given with folds are checked against them.  The files are those of docs/contract.md.
Exit code 1 if anything is found.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sertools check``."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE",
                        help="folds.json, predictions.csv, or a folder of either")  # fmt: skip


def show(options: argparse.Namespace) -> int:
    """Check and print; returns the exit code: 1 if anything was found.

    Raises:
        UserError: a file that is neither, or does not exist.
    """
    from sertools.checking.findings import Finding
    from sertools.checking.folds import check_folds_file
    from sertools.checking.predictions import check_rows, check_table, check_together
    from sertools.errors import UserError

    found: list[Finding] = []
    notes: list[str] = []
    folds_files, systems = _sorted(options.files)
    if len(folds_files) > 1 and systems:
        raise UserError("give one file of folds with tables, which are checked against it")
    folds = None
    for path in folds_files:
        folds, faults, more = check_folds_file(path)
        found += faults
        notes += more
    rows_seen = 0
    for name, tables in systems.items():
        rows, classes = [], None
        for path in tables:
            of_table, classes_here, faults = check_table(path)
            found += faults
            rows += of_table
            if classes is not None and classes_here != classes:
                found.append(Finding(str(path), f"classes {', '.join(classes_here)} are not those of {tables[0]}"))
            classes = classes_here if classes is None else classes
        found += check_rows(rows, name, folds is not None and folds.speaker_dependent)
        if folds is not None and rows:
            found += check_together(rows, classes or (), folds, name)
        rows_seen += len(rows)
    for line in notes:
        print(f"note: {line}")
    for one in found:
        print(one)
    kinds = f"files of folds: {len(folds_files)}, systems: {len(systems)}, rows: {rows_seen}"
    print(f"{kinds}; " + (f"kinds of faults: {len(found)}" if found else "nothing is wrong"))
    return 1 if found else 0


def _sorted(files: list[Path]) -> tuple[list[Path], dict[str, list[Path]]]:
    """Files of folds; and the tables of each system."""
    from sertools.errors import UserError
    from sertools.partitions.folds import FOLDS
    from sertools.reading import check_regular
    from sertools.runs.folder import PREDICTIONS

    folds, systems = [], {}
    for path in files:
        if path.is_dir() and (path / FOLDS).is_file():
            folds.append(path / FOLDS)
        elif path.is_dir() and (tables := sorted(path.glob(f"fold_*/seed_*/{PREDICTIONS}"))):
            systems[str(path)] = tables
        elif path.is_dir():
            raise UserError(f"{path} has neither {FOLDS} nor fold_*/seed_*/{PREDICTIONS}")
        elif not check_regular(path).is_file():
            raise UserError(f"there is no file {path}")
        elif path.suffix == ".json":
            folds.append(path)
        else:
            systems[str(path)] = [path]
    return folds, systems
