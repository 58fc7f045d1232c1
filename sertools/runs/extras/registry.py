"""Which extras there are.  A new one is a file with an :class:`ExtraKind` and a line here."""

from collections.abc import Mapping
from pathlib import Path

from sertools.errors import UserError
from sertools.provenance import require_whole
from sertools.runs.extras.confidence import Confidence
from sertools.runs.extras.epochs import Epochs
from sertools.runs.extras.extra import Extra, ExtraKind
from sertools.runs.extras.groups import Groups
from sertools.runs.extras.layers import Layers
from sertools.runs.extras.raters import Raters
from sertools.runs.extras.speakers import Speakers
from sertools.runs.extras.words import Words
from sertools.runs.predictions import Predictions

EXTRAS: tuple[ExtraKind, ...] = (Words(), Speakers(), Layers(), Epochs(), Raters(), Groups(), Confidence())


def find_extra(name: str) -> ExtraKind:
    """By name.

    Raises:
        UserError: there is none.
    """
    found = next((kind for kind in EXTRAS if kind.name == name), None)
    if found is None:
        raise UserError(f"--extra {name}: there is no such extra; there are {', '.join(k.name for k in EXTRAS)}")
    return found


def extra_files(folders: Mapping[str, Path], given: Mapping[str, str]) -> dict[str, Path]:
    """Everything that :func:`read_extras` reads: a name for each file to its path.

    Args:
        folders: name of each run to its folder.
        given: name of an extra to the folder that the user gives for it.

    Raises:
        UserError: an unknown extra; a folder that is not there, not finished or damaged.
    """
    files = {
        f"{run}/{name}": folder / name
        for run, folder in folders.items()
        for kind in EXTRAS
        for name in kind.files
        if (folder / name).exists()
    }
    for name, directory in given.items():
        kind = find_extra(name)
        require_whole(directory, kind.made_by)
        files |= {f"{name}/{file}": require_whole(Path(directory) / file, kind.made_by) for file in kind.given}
    return files


def read_extras(folders: Mapping[str, Path], predictions: Predictions, given: Mapping[str, str]) -> dict[str, Extra]:
    """What the runs left and the user gave, in the order of the registry: name to what is shown.

    Raises:
        UserError: see :meth:`ExtraKind.read`.
    """
    found = {
        kind.name: kind.read(folders, predictions, Path(given[kind.name]) if kind.name in given else None)
        for kind in EXTRAS
    }
    return {name: extra for name, extra in found.items() if extra is not None}
