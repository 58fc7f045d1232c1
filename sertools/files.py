"""Files that are whole or absent: writing beside the final name, hashing, locking."""

import fcntl
import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sertools.errors import UserError


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it to ``path`` when the block ends well.

    The temporary name keeps the suffixes of ``path`` (``.jsonl.gz``), since writers look at them.
    If the block raises, nothing is left behind and ``path`` is as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".new-", suffix="-" + path.name, dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        usual_permissions(temporary)
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def usual_permissions(path: Path) -> None:
    """Let a file that was made private (mkstemp, safetensors) be as readable as any other."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


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
    require(path, made_by)
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); make it again with {made_by}") from error


def require(path: Path | str, made_by: str) -> Path:
    """Return ``path`` if it exists.

    Raises:
        UserError: it does not; the message says that ``made_by`` makes it.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist; it is made by {made_by}")
    return path


def content_hash(path: Path | str) -> str:
    """SHA-256 (hex) of a file's content; of what is inside where the name ends in ``.gz``.

    gzip stores the time of writing, so two equal manifests differ as files.
    """
    path = Path(path)
    digest = hashlib.sha256()
    with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def json_hash(value: Any) -> str:
    """SHA-256 (hex) of a JSON-able value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@contextmanager
def only_writer(directory: Path | str) -> Iterator[None]:
    """Hold ``directory`` for this process while the block runs.

    The lock belongs to the process, so it is gone when the process dies, however it dies.

    Raises:
        UserError: another process holds it.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / ".lock", "a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            raise UserError(
                f"another process ({holder}) is writing to {directory}; wait for it to end, or stop it"
            ) from None
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {os.uname().nodename}")
        stream.flush()
        yield
