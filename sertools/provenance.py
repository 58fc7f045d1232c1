"""What an output was made from, so that a stage redoes what changed and nothing else.

Every program leaves ``stamp.json`` in its output folder, written last: the configuration it
used, the hashes of what it read and of what it wrote.  Run again, it compares.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sertools.files import content_hash, read_json, write_json

STAMP = "stamp.json"


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


def why_stale(directory: Path | str, stamp: Stamp) -> str | None:
    """Say why the output in ``directory`` has to be made (again); None if it is as wanted.

    It is as wanted if its stamp equals ``stamp`` and every file it lists is there, undamaged.
    """
    path = Path(directory) / STAMP
    if not path.exists():
        return "not made yet, or not finished"
    old = read_json(path, "running the stage again")
    changed = _changes(old.get("config", {}), asdict(stamp)["config"], "")
    changed += [
        f"input {name} changed" if name in old.get("inputs", {}) else f"input {name} is new"
        for name, value in stamp.inputs.items()
        if old.get("inputs", {}).get(name) != value
    ]
    changed += [f"input {name} is no longer used" for name in old.get("inputs", {}) if name not in stamp.inputs]
    if changed:
        return "; ".join(changed)
    for name, value in old["outputs"].items():
        output = Path(directory) / name
        if not output.exists():
            return f"{output} is missing"
        if content_hash_or_none(output) != value:
            return f"{output} is damaged (its checksum differs)"
    return None


def content_hash_or_none(path: Path) -> str | None:
    """As :func:`content_hash`; None for a file too damaged to be read (a cut ``.gz``)."""
    try:
        return content_hash(path)
    except (OSError, EOFError):
        return None
    except Exception as error:  # zlib.error has no common base with the above
        if type(error).__module__ == "zlib":
            return None
        raise


def made_with(output: Path | str) -> Any:
    """The configuration of the stage that made the file ``output``, from the stamp beside it; None if there is none.

    It goes into what is made from the file, which can then be used without the recipe.
    """
    stamp = Path(output).parent / STAMP
    return read_json(stamp, "running the stage again")["config"] if stamp.exists() else None


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
    write_json(directory / STAMP, record)


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
