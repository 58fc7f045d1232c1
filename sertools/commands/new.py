"""``sertools new``: recipes laid out in a folder of one's own, by a package that pip installed."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from sertools.errors import UserError

DOC = """Lay out recipes in a new folder, ready to run.

    sertools new emotion                       egs/own, for a corpus of your own; then: cd emotion && ./run.sh --help
    sertools new papers --recipe iemocap tedlium2

DIR gets egs/RECIPE with its conf/, egs/common, local/ and utils/ (programs and the job launcher), path.sh, and
.venv, a link to the environment that this command runs in.  Edit conf/ there; results go to egs/RECIPE/exp.
"""

SHARED = ("local", "utils", "path.sh", "egs/common")


def source() -> Path:
    """Where the recipes are: in the package, or in the checkout it is run from.

    Raises:
        UserError: nowhere.
    """
    package = Path(__file__).parents[1]
    for place in (package / "recipes", package.parent):
        if (place / "egs" / "common").is_dir():
            return place
    raise UserError(f"{package / 'recipes'} is missing: this copy of the package has no recipes; install it again")


def recipes() -> list[str]:
    """Names of those there are."""
    return sorted(path.parent.name for path in (source() / "egs").glob("*/path.sh"))


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``sertools new``."""
    command.add_argument("directory", type=Path, metavar="DIR", help="folder that does not exist yet, or is empty")
    command.add_argument("--recipe", nargs="+", default=["own"], metavar="NAME",
                         help=f"{', '.join(recipes())}; or all (default: own)")  # fmt: skip


def new(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    known = recipes()
    chosen = known if options.recipe == ["all"] else list(dict.fromkeys(options.recipe))
    unknown = next((name for name in chosen if name not in known), None)
    if unknown is not None:
        raise UserError(f"there is no recipe {unknown}; there are {', '.join(known)} (or all)")
    lay_out(options.directory, chosen)
    first = options.directory / "egs" / chosen[0]
    scripts = sorted(path.name for path in first.glob("run*.sh"))
    print(f"{options.directory} has {', '.join(chosen)}.  Next:\n")
    if len(chosen) == 1:
        print(f"    cd {options.directory} && ./{scripts[0]} --help")
    else:
        print(f"    cd {first} && ./{scripts[0]} --help")
    return 0


def lay_out(directory: Path, chosen: list[str]) -> None:
    """Copy recipes and what they share.

    Raises:
        UserError: something is there already.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UserError(f"{directory} is there already, and not empty; name a new folder")
    root = source()
    directory.mkdir(parents=True, exist_ok=True)
    for name in (*SHARED, *(f"egs/{one}" for one in chosen)):
        if (root / name).is_dir():
            # results and the like of a checkout stay there
            shutil.copytree(root / name, directory / name, ignore=_left, symlinks=True)
        else:
            shutil.copy(root / name, directory / name)
    for path in directory.rglob("*"):
        # an archive may have lost it
        if path.is_file() and path.read_bytes()[:2] == b"#!":
            path.chmod(path.stat().st_mode | 0o111)
    (directory / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    if len(chosen) == 1:
        for script in sorted((directory / "egs" / chosen[0]).glob("run*.sh")):
            (directory / script.name).symlink_to(os.path.join("egs", chosen[0], script.name))


def _left(folder: str, names: list[str]) -> list[str]:
    of_recipe = Path(folder).parent.name == "egs"
    return [name for name in names if name == "__pycache__" or (of_recipe and name in ("data", "exp"))]
