"""Copies of what a run cannot be used without, kept in its experiment."""

import logging
import os
import shutil
from pathlib import Path

from sertools.errors import UserError
from sertools.files import content_hash, only_writer

SECONDS_TO_COPY = 600.0  # that another process may take


def keep_copy(directory: Path, target: Path) -> None:
    """Copy a folder (or a file) to ``target``, if it is not there already; several processes may try at once."""
    if _difference(directory, target) is None:
        return
    work = target.with_name(f".{target.name}")
    with only_writer(work, patience=SECONDS_TO_COPY):
        different = _difference(directory, target)
        if different is None:  # another process was faster
            return
        if target.exists():
            logging.info("%s is missing, damaged or of another checkpoint; copying that again", target / different)
        new = work / "new"
        shutil.rmtree(new, ignore_errors=True)
        new.unlink(missing_ok=True)
        for path in _files(directory):
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(directory / path, new / path)
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(new, target)


def _difference(one: Path, other: Path) -> Path | None:
    """The first file of one folder that is not the same in the other."""
    for path in _files(one):
        try:
            if content_hash(one / path) != content_hash(other / path):
                return path
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return path
    return None


def _files(path: Path) -> list[Path]:
    """All files of a folder, seen from it; of a file, what names it itself."""
    if not path.is_dir():
        return [Path()]
    root, found = path.resolve(), sorted(p for p in path.rglob("*") if p.is_file())
    for one in found:
        if not one.resolve().is_relative_to(root):
            raise UserError(
                f"{one} is a link to {one.resolve()}, out of its folder; what is there would be copied along: put a "
                "copy in its place, or remove the link"
            )
    return [p.relative_to(path) for p in found]
