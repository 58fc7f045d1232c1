#!/usr/bin/env python3
"""Check that the runs of experiments were trained with the settings that their configurations have now.

    check_runs.py --config conf/s1/a.yaml --of exp/a --config conf/s1/b.yaml --set training.epochs=3 --of exp/b

--config and --set belong to the --of that follows them.  With --report nothing is refused: the first run of each
experiment is looked at, and written down if it is of other settings (make_benchmark.py refuses an experiment whose runs
are not alike).
"""

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli import add_config, at_least_one, parser, run
from sertools.emotion.kinds import configured
from sertools.errors import UserError
from sertools.files import write_json
from sertools.runs.folder import PREDICTIONS, check_settings, other_settings, run_files


class _Of(argparse.Action):
    """``--of EXP_DIR``: the experiment, and the configuration given since the one before it."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        if namespace.config is None:
            raise argparse.ArgumentError(self, f"--config is needed before --of {values}")
        namespace.of = [*namespace.of, (values, namespace.config, namespace.overrides)]
        namespace.config, namespace.overrides = None, []


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    arguments.add_argument(
        "--of", action=_Of, type=Path, default=[], required=True, metavar="EXP_DIR", help="holds fold_*/seed_*"
    )
    arguments.add_argument("--num-seeds", type=at_least_one, help="seeds 1 .. N of every fold (default: all there are)")
    arguments.add_argument(
        "--report", type=Path, metavar="FILE", help="write experiments of other settings there (JSON), and refuse none"
    )
    options = arguments.parse_args()
    if options.config or options.overrides:
        raise UserError("settings after the last --of belong to no experiment")
    if options.report:
        found = {str(directory): _first_other(directory, configured(*how)) for directory, *how in options.of}
        write_json(options.report, {directory: other for directory, other in found.items() if other})
        return
    seeds = range(1, options.num_seeds + 1) if options.num_seeds else None
    for directory, config, overrides in options.of:
        check_settings(directory, run_files(directory, seeds), configured(config, overrides))
        logging.info("the runs of %s are of these settings", directory)


def _first_other(directory: Path, wanted: Mapping[str, Any]) -> str:
    """What the first finished run was trained with instead; empty if there is none, or it is of these settings."""
    first = sorted(path.parent for path in directory.glob(f"fold_*/seed_*/{PREDICTIONS}"))[:1]
    return other_settings(directory, [str(path.relative_to(directory)) for path in first], wanted)


if __name__ == "__main__":
    run(main)
