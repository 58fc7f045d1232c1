#!/usr/bin/env python3
"""Run all cases and write docs/errors.md (python tests/bad_input/make_table.py); needs the full environment."""

import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import material  # noqa: E402
from cases import CASES  # noqa: E402
from quick_programs import quick_environment  # noqa: E402
from runner import Programs, outcome  # noqa: E402
from table import page  # noqa: E402


def main() -> None:
    """Make the page."""
    outcomes = []
    with tempfile.TemporaryDirectory() as name, quick_environment(Path(name) / "env") as environment:
        programs = Programs(environment)
        material.make(Path(name) / "material", programs)
        for case in CASES:
            folder = Path(name) / "case"
            ended, said = outcome(case, programs, Path(name) / "material", folder)
            shutil.rmtree(folder)
            print(f"{case.group}: {case.did}: code {ended.code}", file=sys.stderr)
            outcomes.append((case, said))
    (HERE.parents[1] / "docs").mkdir(exist_ok=True)
    (HERE.parents[1] / "docs/errors.md").write_text(page(outcomes), encoding="utf-8")


if __name__ == "__main__":
    main()
