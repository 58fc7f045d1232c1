"""Where a corpus lies on disk and what its files looked like when they were read."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from sertools.errors import UserError
from sertools.files import json_hash

SYNTHETIC_MARK = "SYNTHETIC"


def find_root(corpus_dir: Path | str, subfolders: Sequence[str], inside: str, layout: str) -> Path:
    """The folder of a release: ``corpus_dir`` itself or one of its ``subfolders``.

    Args:
        corpus_dir: what the user gave.
        subfolders: names that the release folder has inside its parent.
        inside: a pattern that something directly in the release folder matches ("Session[1-5]").
        layout: the expected layout, for the message.

    Raises:
        UserError: nothing matches; the message says what was looked for.
    """
    corpus_dir = Path(corpus_dir)
    if not corpus_dir.is_dir():
        raise UserError(f"{corpus_dir} is not a folder; give the folder of the corpus, laid out as {layout}")
    candidates = [corpus_dir, *(corpus_dir / name for name in subfolders)]
    for candidate in candidates:
        if any(path.is_dir() for path in candidate.glob(inside)):
            return Path(os.path.abspath(candidate))
    looked = " or ".join(str(candidate / inside) for candidate in candidates)
    raise UserError(f"no corpus in {corpus_dir}: looked for {looked}; expected the layout {layout}")


def corpus_name(name: str, root: Path) -> str:
    """``name``, with ``-synthetic`` after it if a file SYNTHETIC lies in ``root`` or its parent."""
    marked = any((folder / SYNTHETIC_MARK).exists() for folder in (root, root.parent))
    return f"{name}-synthetic" if marked else name


def visible(paths: Iterable[Path]) -> list[Path]:
    """Sorted paths without hidden ones; macOS leaves ``._x.txt`` beside every ``x.txt``."""
    return sorted(path for path in paths if not path.name.startswith("."))


def any_case(suffix: str) -> str:
    """A pattern for names that end in ``.suffix`` in small or capital letters: recorders write ``.WAV``."""
    return "*." + "".join(f"[{letter.lower()}{letter.upper()}]" for letter in suffix)


def listing_hash(root: Path, patterns: Sequence[str]) -> str:
    """SHA-256 (hex) of names, sizes and times of change of the files that match, below ``root``.

    Hashing the content of 25 GB of audio at each run would take minutes.
    """
    entries = []
    for path in sorted({path for pattern in patterns for path in root.glob(pattern)}):
        status = path.stat() if path.exists() else path.lstat()
        entries.append([str(path.relative_to(root)), status.st_size, status.st_mtime_ns])
    return json_hash([*entries, corpus_name("", root)])
