#!/usr/bin/env python3
"""Print those of several --set KEY=VALUE whose KEY the configuration of a system has, a word a line.

    take_settings.py --config conf/s2/svm.yaml --set training.select_by=dev_ccc

Recipes have settings for all systems, as of a number that is predicted, and systems are of several kinds: an SVM
selects no epoch.  Values are checked when the system is trained.
"""

from collections.abc import Mapping
from typing import Any

from cli import add_config, parser, run
from sertools.emotion.kinds import configured


def main() -> None:
    arguments = parser(__doc__)
    add_config(arguments)
    options = arguments.parse_args()
    config = configured(options.config)
    for setting in options.overrides:
        if has(config, setting.partition("=")[0]):
            print("--set", setting, sep="\n")


def has(config: Mapping[str, Any], key: str) -> bool:
    """Whether there is a setting, such as ``training.select_by``."""
    group: Any = config
    for part in key.split("."):
        if not isinstance(group, Mapping) or part not in group:
            return False
        group = group[part]
    return True


if __name__ == "__main__":
    run(main)
