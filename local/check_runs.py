#!/usr/bin/env python3
"""Check that the runs of experiments were trained with the settings that their configurations have now.

    check_runs.py --config conf/s1/a.yaml --of exp/a --config conf/s1/b.yaml --set training.epochs=3 --of exp/b

--config and --set belong to the --of that follows them.
"""

import argparse
import logging
from pathlib import Path

from cli import add_config, at_least_one, parser, run
from sertools.emotion.kinds import configured
from sertools.errors import UserError
from sertools.runs.folder import check_settings, run_files


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
    options = arguments.parse_args()
    if options.config or options.overrides:
        raise UserError("settings after the last --of belong to no experiment")
    seeds = range(1, options.num_seeds + 1) if options.num_seeds else None
    for directory, config, overrides in options.of:
        check_settings(directory, run_files(directory, seeds), configured(config, overrides))
        logging.info("the runs of %s are of these settings", directory)


if __name__ == "__main__":
    run(main)
