#!/usr/bin/env python3
"""Print the numbers of the layers that features have, in a line: 0 1 2 ...

    list_layers.py data/ssl/NAME/cuts.jsonl.gz ssl

run_s3.sh makes a system of each.
"""

from pathlib import Path

from cli import parser, run
from sertools.errors import UserError
from sertools.features.access import find
from sertools.manifests import read_cuts
from sertools.provenance import require_whole


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("cuts", type=Path, help="cut manifest with features")
    arguments.add_argument("name", help="of the features")
    options = arguments.parse_args()
    require_whole(options.cuts, "the feature stage (local/collect_features.py)")
    first = next(iter(read_cuts(options.cuts)), None)
    if first is None:
        raise UserError(f"{options.cuts} is empty")
    shape = find(first, options.name).shape
    if len(shape) != 3:
        raise UserError(f"{options.cuts}: {options.name} has no layers")
    print(*range(shape[0]))


if __name__ == "__main__":
    run(main)
