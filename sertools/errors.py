"""The errors that a user can mend."""

import errno
import io
import logging
import sys
from contextlib import suppress
from typing import TextIO


class UserError(Exception):
    """Something that the user can put right: a missing file, a typo, a broken corpus.

    The message names the file, the stage or program that should have made it, and what to do.
    Programs in ``local/`` print it without a traceback and exit with code 1.
    """


class MissingPackage(UserError):
    """An optional package that the task at hand needs is not installed."""

    def __init__(self, package: str, needed_for: str, how: str) -> None:
        super().__init__(f"{needed_for} needs the package {package}, which is not installed.  {how}")


_DENIED = "permission denied; change its permissions, or give another place"
_WORDS = {
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: "nothing can be written there; give another place",
    errno.EEXIST: "a file, and a folder is needed; give another name, or remove it",
    errno.ENOTDIR: "below a file, and a folder is needed; give another name",
    errno.EISDIR: "a folder, and a file is needed",
    errno.ENOENT: "no such file or folder",
    errno.ENAMETOOLONG: "too long a name",
}


def explain_os_error(error: OSError) -> str | None:
    """An error of the system in words: what file and what to do; None where it names no file."""
    if not error.filename:
        return None
    name = error.filename if isinstance(error.filename, str) else str(error.filename)
    return f"{name}: {_WORDS.get(error.errno or 0, error.strerror)}"


def log_to(stream: TextIO, level: int, form: str = "%(message)s", times: str | None = None) -> None:
    """Write log lines to ``stream``, whatever a module has set up as it was imported.

    A library that warns then (Lhotse where HOME cannot be written) leaves a handler behind that takes no notes.
    """
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
    logging.basicConfig(level=level, stream=stream, format=form, datefmt=times)


def drop_warnings_about_tools() -> None:
    """Lhotse's, of a folder for tools that nobody here uses; to be called before it is imported."""
    logging.getLogger().addFilter(_not_about_tools)


def _not_about_tools(record: logging.LogRecord) -> bool:
    return "lhotse utilities directory" not in str(record.msg)


def names_can_be_printed() -> None:
    """Let stdout and stderr take names of files that are not UTF-8, or not of the terminal's alphabet."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError):  # what was a file is now a pipe: its place cannot be asked for
                stream.reconfigure(errors="backslashreplace")
