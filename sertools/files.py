"""Files that are whole or absent: writing beside the final name, hashing, locking."""

import contextlib
import fcntl
import gzip
import hashlib
import json
import logging
import os
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sertools import documents
from sertools.documents import MAX_JSON_BYTES
from sertools.errors import UserError
from sertools.limits import check_size
from sertools.reading import check_regular

_NEW = ".new-"
_SAFETENSORS_NEW = ".tmp??????"  # what it writes to first, beside the file
SECONDS_TO_END = 10.0  # launch.py's jobs have 5 to end in when their launcher was killed


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it to ``path`` when the block ends well.

    The temporary name keeps the suffixes of ``path`` (``.jsonl.gz``), since writers look at them.
    If the block raises, nothing is left behind and ``path`` is as it was.  What a killed process leaves is
    removed by :func:`sweep`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=_NEW, suffix="-" + path.name, dir=path.parent)
    temporary = Path(name)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield temporary
        usual_permissions(temporary)
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a write that fails does not say of what
        raise
    finally:
        os.close(descriptor)


def sweep(directory: Path | str) -> None:
    """Remove what processes that were killed inside :func:`replacing` have left in a folder.

    The file of a process that lives is locked, and stays.
    """
    for path in sorted(Path(directory).glob(f"{_NEW}*")):
        if path.is_file():
            with contextlib.suppress(OSError), open(path, "ab") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def usual_permissions(path: Path) -> None:
    """Let a file that was made private (mkstemp, safetensors) be as readable as any other."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all; what is none (of a file's name) as JSON escapes it."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path | str, made_by: str) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        made_by: what makes the file, for the message ("stage 2 of run.sh").

    Raises:
        UserError: the file is missing or not JSON.
    """
    path = require(path, made_by)
    value = documents.read_json(path, f"make it again with {made_by}")
    check_size(value, str(path), nodes=MAX_JSON_BYTES)
    return value


def require(path: Path | str, made_by: str) -> Path:
    """Return ``path`` if it exists.

    Raises:
        UserError: it does not; the message says that ``made_by`` makes it.  Or it is a pipe or a device.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist; it is made by {made_by}")
    return check_regular(path)


def content_hash(path: Path | str) -> str:
    """SHA-256 (hex) of a file's content; of what is inside where the name ends in ``.gz``.

    gzip stores the time of writing, so two equal manifests differ as files.

    Raises:
        UserError: a ``.gz`` file is cut short or damaged; or it is a pipe or a device.
    """
    path = check_regular(Path(path))
    digest = hashlib.sha256()
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is cut short or damaged ({error}); make it again, or fetch it again") from error
    return digest.hexdigest()


def json_hash(value: Any) -> str:
    """SHA-256 (hex) of a JSON-able value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@contextmanager
def only_writer(directory: Path | str, patience: float = SECONDS_TO_END) -> Iterator[None]:
    """Hold ``directory`` for this process while the block runs.

    The lock belongs to the process, so it is gone when the process dies, however it dies.  What
    processes that were killed have left in the folder is removed (:func:`sweep`).

    Args:
        directory: made if it is not there.
        patience: seconds to wait for another process, which may be about to end.

    Raises:
        UserError: another process holds it; its name cannot stand in a manifest.
    """
    directory = Path(directory)
    try:
        str(directory.absolute()).encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{str(directory.absolute()).encode(errors='backslashreplace').decode()}: the name of this folder, or of "
            "one above it, is not UTF-8, and manifests could not name what is in it; rename it (where the locale is C, "
            "set PYTHONUTF8=1)"
        ) from None
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / ".lock", "a+") as stream:
        deadline = time.monotonic() + patience
        told = False
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                stream.seek(0)
                what = f"another process ({stream.read().strip() or 'unknown'}) is writing to {directory}"
            if time.monotonic() >= deadline:
                raise UserError(f"{what}; wait for it to end, or stop it")
            if not told:
                logging.info("%s; waiting up to %.0f seconds for its end", what, patience)
                told = True
            time.sleep(0.1)
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {os.uname().nodename}")
        stream.flush()
        sweep(directory)
        for path in sorted(directory.glob(_SAFETENSORS_NEW)):
            path.unlink()
        yield
