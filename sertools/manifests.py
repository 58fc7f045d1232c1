"""Reading Lhotse manifests that someone else may have made, without running anything that they name.

A manifest can say that audio comes from a shell command (``type: command``), that an array is a
pickle (``storage_type: memory_raw``) or the output of a command (``kaldiio``), and Lhotse's own
readers open a file called ``pipe:COMMAND`` by running it.  Here a manifest is read as plain JSON
lines, and a line that names any of these is refused before Lhotse sees it.
"""

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lhotse import CutSet, Recording, RecordingSet, SupervisionSegment
from lhotse.cut import Cut
from lhotse.serialization import deserialize_item

import sertools.features.band_pass  # noqa: F401  (lets Lhotse apply it)
from sertools.errors import UserError
from sertools.features import arrays  # lets Lhotse read them
from sertools.files import replacing
from sertools.limits import CUT, LINE_BYTES, RECORDING, SUPERVISION, check_size
from sertools.provenance import require_whole

__all__ = ["load_cuts", "read_cuts", "read_recordings_or_cuts", "read_supervisions"]

MADE_BY = "an earlier stage, or given by you"
STORAGE = (
    "lilcom_chunky", "lilcom_files", "numpy_files", "lilcom_hdf5", "chunked_lilcom_hdf5", "numpy_hdf5",
    arrays.STORAGE_TYPE,
)  # fmt: skip
"""How arrays may be kept: files that hold numbers only.  Lhotse's others are pickles, commands or URLs."""
# Lhotse reads these through a shell command with the path in it (.opus: with LHOTSE_LEGACY_OPUS_LOADING)
THROUGH_SHELL = (".sph", ".opus")
PLAIN = re.compile(r"[\w./+=@%,:-]+", re.ASCII)


def read_cuts(path: Path | str, made_by: str = MADE_BY) -> Iterator[Cut]:
    """The cuts of a manifest (``.jsonl``, ``.jsonl.gz``), one after the other.

    Args:
        path: the file.
        made_by: what makes it, for the message.

    Raises:
        UserError: no such file, damage, something that is not a cut, an id that occurs twice, no cut at
            all, or audio or arrays that are not plain files; with file and line.
    """
    for item, where in _read(Path(path), made_by):
        if not isinstance(item, Cut):
            raise UserError(f"{where}: a {type(item).__name__}, not a cut; a manifest of cuts is needed here")
        yield item


def load_cuts(path: Path | str, made_by: str = MADE_BY) -> CutSet:
    """All cuts of a manifest; raises what :func:`read_cuts` does."""
    return CutSet.from_cuts(read_cuts(path, made_by))


def write_cuts(cuts: Iterable[Cut], path: Path | str) -> None:
    """Write a cut manifest (.jsonl.gz) beside its final name, and rename it."""
    with replacing(Path(path)) as temporary:
        CutSet.from_cuts(cuts).to_file(temporary)


def read_supervisions(path: Path | str, made_by: str = MADE_BY) -> list[SupervisionSegment]:
    """The supervisions of a manifest.

    Raises:
        UserError: as :func:`read_cuts`, or something that is not a supervision.
    """
    found = []
    for item, where in _read(Path(path), made_by):
        if not isinstance(item, SupervisionSegment):
            raise UserError(
                f"{where}: a {type(item).__name__}, not a supervision; a manifest of supervisions is needed"
            )
        found.append(item)
    return found


def read_recordings_or_cuts(path: Path | str, made_by: str = MADE_BY) -> CutSet:
    """The cuts of a manifest; of a manifest of recordings, one cut for each.

    Raises:
        UserError: as :func:`read_cuts`, or something that is neither.
    """
    items = []
    for item, where in _read(Path(path), made_by):
        if not isinstance(item, Cut | Recording):
            raise UserError(f"{where}: a {type(item).__name__}; a manifest of cuts or recordings is needed here")
        items.append(item)
    if all(isinstance(item, Recording) for item in items):
        return CutSet.from_manifests(recordings=RecordingSet.from_recordings(items))
    return CutSet.from_cuts(item.to_cut() if isinstance(item, Recording) else item for item in items)


def _read(path: Path, made_by: str) -> Iterator[tuple[Any, str]]:
    """Lhotse's objects, each with its file and line for messages."""
    lines: dict[tuple[type, str], int] = {}
    for number, values in _lines(path, made_by):
        where = f"{path}, line {number}"
        if not isinstance(values, dict):
            raise UserError(f"{where}: not a Lhotse manifest, whose lines are objects {{...}}")
        check_size(values, where)
        check_plain(values, where)
        _check_fields(values, where)
        try:
            item = deserialize_item(values)
            name = str(item.id)
        except (KeyError, TypeError, ValueError, AttributeError, AssertionError, RecursionError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0] if str(error) else ""
            raise UserError(f"{where}: not a Lhotse manifest ({what or type(error).__name__})") from error
        first = lines.setdefault((type(item), name), number)
        if first != number:
            raise UserError(f"{where}: {name} occurs twice, the first time in line {first}; ids must be unique")
        yield item, where
    if not lines:
        raise UserError(f"{path} is empty; it is made by {made_by}")


def _check_fields(values: dict[str, Any], where: str) -> None:
    """Types and ranges of the fields, before lhotse reckons with them."""
    if values.get("type") in ("MixedCut", "PaddingCut") or "tracks" in values:
        raise UserError(
            f"{where}: a {values.get('type', 'MixedCut')}, several recordings as one; an utterance here is a piece of "
            "one recording: write it to a file first (cut.save_audio)"
        )
    if "sources" in values:
        RECORDING.check(values, where)
    elif "supervisions" in values or str(values.get("type", "")).endswith("Cut"):
        CUT.check(values, where)
    elif "recording_id" in values:
        SUPERVISION.check(values, where)


def _lines(path: Path, made_by: str) -> Iterator[tuple[int, Any]]:
    """Numbered lines, as JSON."""
    require_whole(path, made_by)
    if not path.is_file():
        raise UserError(f"{path} is not a file; a manifest is needed here (.jsonl, .jsonl.gz)")
    if ".jsonl" not in path.suffixes:
        raise UserError(
            f"{path} is not called .jsonl or .jsonl.gz; convert a manifest with `lhotse copy IN OUT.jsonl.gz`"
        )
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as stream:
            while line := stream.readline(LINE_BYTES + 1):
                number += 1
                if len(line) > LINE_BYTES:
                    raise UserError(f"{path}, line {number} has more than {LINE_BYTES >> 20} MiB; it is no manifest")
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                if line.strip():
                    yield number, json.loads(line)
    except (ValueError, RecursionError) as error:  # not UTF-8, or not JSON
        raise UserError(f"{path}, line {number}: not JSON ({error}); it is made by {made_by}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        if "Not a gzipped file" in str(error):
            raise UserError(
                f"{path} is not compressed, though its name ends in .gz; it is made by {made_by}"
            ) from error
        raise UserError(f"{path} is cut short or damaged after line {number}; it is made by {made_by}") from error


def check_plain(values: Any, where: str) -> None:
    """Check that all audio and arrays in a line of a manifest are plain files.

    Raises:
        UserError: they are not.
    """
    stack = [values]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack += value
        elif isinstance(value, dict):
            stack += value.values()
            if {"type", "channels", "source"} <= value.keys():
                _check_audio(value["type"], value["source"], where)
            if "storage_type" in value:
                _check_storage(value["storage_type"], value.get("storage_path"), where)


def _check_audio(kind: Any, source: Any, where: str) -> None:
    if kind == "command":
        raise UserError(f"{where}: audio by a shell command ({source}), which is never run; write it to files first")
    if kind != "file" or not isinstance(source, str):
        raise UserError(f"{where}: audio of type '{kind}'; only files are read: save it as files first")
    if source.startswith("pipe:") or "://" in source:
        raise UserError(f"{where}: audio from {source}, which is not a file")
    if source.lower().endswith(THROUGH_SHELL) and not PLAIN.fullmatch(source):
        raise UserError(
            f"{where}: Lhotse gives {source} to a shell, and its name has characters that a shell obeys; "
            "rename it, or convert it to FLAC"
        )


def _check_storage(kind: Any, path: Any, where: str) -> None:
    if kind not in STORAGE:
        raise UserError(
            f"{where}: an array kept as '{kind}', which can run code or is no file; read are {', '.join(STORAGE)}"
        )
    if not isinstance(path, str) or path.startswith("pipe:") or "://" in path:
        raise UserError(f"{where}: an array in {path}, which is not a file")
