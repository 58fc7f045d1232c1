"""What a block of the feature store says of itself: its JSON file, and the check of its archive."""

import json
import os
from pathlib import Path
from typing import Any

from sertools.documents import read_json
from sertools.errors import UserError
from sertools.files import content_hash, json_hash, write_json

SUFFIXES = (".lca", ".arrays")
"""Of the archives that have a record."""

_checked: dict[Path, tuple[int, int]] = {}
"""Archives that this process has found whole, with size and time of change."""


def write_record(archive: Path, fingerprint: str, made_by: str, cuts: list[dict[str, Any]]) -> None:
    """Write the JSON file beside an archive, which is there: what it was made from, by which stage, its cuts."""
    record = {"fingerprint": fingerprint, "made_by": made_by, "sha256": content_hash(archive), "cuts": cuts}
    # as it will be read: JSON has no tuples
    own = json_hash(json.loads(json.dumps(record)))
    write_json(archive.with_suffix(".json"), record | {"own_sha256": own})


def read_record(path: Path) -> dict[str, Any] | None:
    """Read what :func:`write_record` wrote; None if it is damaged."""
    try:
        record = read_json(path)
        own = record.pop("own_sha256")
    except (UserError, KeyError, AttributeError, TypeError):  # not JSON, not UTF-8, not such an object
        return None
    return record if own == json_hash(record) else None


def check_archive(path: Path | str) -> None:
    """Check an archive against the checksum that its stage left beside it, once in this process.

    An archive of another program, with no such record, is taken as it is.

    Raises:
        UserError: the archive, or its record, is damaged; or the archive is gone.
    """
    path = Path(path)
    try:
        status = os.stat(path)
    except OSError:
        raise UserError(f"{path} is gone; run the stage that made it again") from None
    state = status.st_size, status.st_mtime_ns
    record_path = path.with_suffix(".json")
    if _checked.get(path) == state or path.suffix not in SUFFIXES or not record_path.exists():
        return
    record = read_record(record_path)
    if record is None:
        raise UserError(
            f"{record_path} is damaged, or of an earlier version; run the stage that made it again, "
            "it makes just this block"
        )
    if content_hash(path) != record["sha256"]:
        raise UserError(
            f"{path} is damaged (its checksum differs); run {record['made_by']} again, it makes just this block"
        )
    _checked[path] = state
