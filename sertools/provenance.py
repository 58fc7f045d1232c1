"""What an output was made from, so that a stage redoes what changed and nothing else.

Every program leaves ``stamp.json`` in its output folder, written last: the configuration it
used, the hashes of what it read and of what it wrote.  Run again, it compares; and a later stage
compares what it reads.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sertools.documents import read_json
from sertools.errors import UserError
from sertools.files import content_hash, json_hash, require, write_json

STAMP = "stamp.json"
UNFINISHED = "unfinished"
SAID = 6  # changes that a message names
OWN = "own_sha256"


@dataclass(frozen=True)
class Stamp:
    """What an output was made from.

    Attributes:
        config: the resolved configuration, JSON-able.
        inputs: name of each input (a path or a role) to the hash of its content.
    """

    config: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of(config: dict[str, Any], inputs: dict[str, Path | str]) -> "Stamp":
        """Hash the files ``inputs`` (role to path) and make a stamp."""
        return Stamp(config, {name: content_hash(path) for name, path in inputs.items()})

    @property
    def key(self) -> str:
        """A hash of it; a setting that is off (None) is as if it were not there, as for :func:`why_stale`."""
        return json_hash([_without_off(self.config), self.inputs])


def _without_off(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_off(one) for key, one in value.items() if one is not None}
    return [_without_off(one) for one in value] if isinstance(value, list | tuple) else value


def why_stale(directory: Path | str, stamp: Stamp) -> str | None:
    """Say why the output in ``directory`` has to be made (again); None if it is as wanted.

    It is as wanted if its stamp equals ``stamp`` and every file it lists is there, undamaged.
    """
    path = Path(directory) / STAMP
    if not path.exists():
        return "not made yet, or not finished"
    old = _read(path)
    if old is None:
        return f"{path} is damaged"
    if "outputs" not in old:
        return "not finished"
    changed = _changes(old["config"], asdict(stamp)["config"], "")
    changed += [
        f"input {name} changed" if name in old["inputs"] else f"input {name} is new"
        for name, value in stamp.inputs.items()
        if old["inputs"].get(name) != value
    ]
    changed += [f"input {name} is no longer used" for name in old["inputs"] if name not in stamp.inputs]
    if changed:
        more = [f"and {len(changed) - SAID} more changes"] if len(changed) > SAID + 1 else []
        return "; ".join([*(changed[:SAID] if more else changed), *more])
    if UNFINISHED in old:
        return "it was being made again, and not finished"
    return next(_problems(Path(directory), old, ""), None)


def begin(directory: Path | str) -> None:
    """Say in the stamp that the output is being made: until :func:`write_stamp` no later stage takes it.

    Without this, a stage that is killed while it replaces one file after the other leaves files that do
    not belong together.
    """
    path = Path(directory) / STAMP
    _write(path, ((_read(path) if path.exists() else None) or {}) | {UNFINISHED: True})


def require_whole(path: Path | str, made_by: str) -> Path:
    """Return a file or folder if it exists and is what its stage has made, as the stamp beside it says.

    What has no stamp (given by the user, say) is taken as it is.

    Args:
        path: the stamp is in this folder, beside this file or folder, or a folder above this file.
        made_by: the stage, for the message.

    Raises:
        UserError: it is missing, damaged or not finished.
    """
    path = require(path, made_by)
    for folder in [path, path.parent] if path.is_dir() else [path.parent, path.parent.parent]:
        stamp = folder / STAMP
        if not stamp.is_file():
            continue
        record = _read(stamp)
        if record is None:
            raise UserError(f"{stamp} is damaged, so nobody knows whether {path} is whole; run {made_by} again")
        if UNFINISHED in record:
            raise UserError(f"{path} is not finished: {made_by} did not come to its end; run it again")
        inside = path.relative_to(folder).as_posix()
        problem = next(_problems(folder, record, "" if inside == "." else inside), None)
        if problem is not None:
            raise UserError(f"{problem}; run {made_by} again, which makes it anew")
    return path


def _write(path: Path, record: dict[str, Any]) -> None:
    """Write a stamp with a checksum of itself."""
    # as it will be read: JSON has no tuples
    write_json(path, record | {OWN: json_hash(json.loads(json.dumps(record)))})


def _read(path: Path) -> dict[str, Any] | None:
    """A stamp, which has a configuration, inputs and outputs unless it is of something unfinished; None: damaged."""
    try:
        record = read_json(path)
    except UserError:  # not JSON, or not UTF-8
        return None
    if not isinstance(record, dict):
        return None
    own = record.pop(OWN, None)
    if own is not None and own != json_hash(record):
        return None
    parts = [record.get(name) for name in ("config", "inputs", "outputs")]
    whole = all(isinstance(part, dict) for part in parts)
    if whole and not all(isinstance(value, str) for part in parts[1:] if part for value in part.values()):
        return None
    return record if whole or (UNFINISHED in record and parts == [None] * 3) else None


def _problems(directory: Path, record: dict[str, Any], inside: str) -> Iterator[str]:
    """What is missing or damaged of the outputs in a stamp: of all, or of the file or folder called ``inside``."""
    for name, value in record["outputs"].items():
        if inside and name != inside and not name.startswith(f"{inside}/"):
            continue
        output = directory / name
        if not output.exists():
            yield f"{output} is missing"
        elif content_hash_or_none(output) != value:
            yield f"{output} is damaged (its checksum differs)"


def content_hash_or_none(path: Path) -> str | None:
    """As :func:`content_hash`; None for a file too damaged to be read (a cut ``.gz``)."""
    try:
        return content_hash(path)
    except PermissionError:
        raise
    except (OSError, UserError):
        return None


def made_with(output: Path | str) -> Any:
    """The configuration of the stage that made the file ``output``, from the stamp beside it; None if there is none.

    It goes into what is made from the file, which can then be used without the recipe.

    Raises:
        UserError: the stamp is damaged.
    """
    stamp = Path(output).parent / STAMP
    if not stamp.exists():
        return None
    record = _read(stamp)
    if record is None:
        raise UserError(f"{stamp} is damaged; run the stage that made {output} again")
    return record.get("config")


def stage_settings(made: Any, name: str) -> dict[str, Any] | None:
    """Out of what :func:`made_with` gives, the settings called ``name`` of that stage or of one before it."""
    while isinstance(made, dict):
        if isinstance(made.get(name), dict):
            return dict(made[name])
        made = made.get("features")
    return None


def write_stamp(directory: Path | str, stamp: Stamp, outputs: list[str]) -> None:
    """Write the stamp of ``directory``; ``outputs`` are file names relative to it."""
    directory = Path(directory)
    record = asdict(stamp) | {"outputs": {name: content_hash(directory / name) for name in sorted(outputs)}}
    _write(directory / STAMP, record)


def _changes(old: Any, new: Any, name: str) -> list[str]:
    """Lines "a.b: 1 -> 2" for every leaf that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = list(old) + [key for key in new if key not in old]
        return [
            line for key in keys for line in _changes(old.get(key), new.get(key), f"{name}.{key}" if name else str(key))
        ]
    if isinstance(old, tuple | list) and isinstance(new, tuple | list):
        old, new = list(old), list(new)
    return [] if old == new else [f"{name or 'configuration'}: {old} -> {new}"]
