"""Reading features of any kind from a cut, by name; and cuts of several manifests as one."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lhotse.array import TemporalArray, seconds_to_frames
from lhotse.cut import Cut
from lhotse.features.io import get_reader
from torch import Tensor

from sertools.errors import UserError
from sertools.features.arrays import STORAGE_TYPE
from sertools.features.kinds import kind_of
from sertools.features.maker import FEATURES
from sertools.features.records import check_archive
from sertools.manifests import read_cuts

__all__ = ["Place", "find", "join_cuts", "names_of", "read"]

WHOLE = 0.1
"""Seconds: an array of one row, longer than this, is of a whole utterance (functionals, statistics)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the features of a cut are; small enough to hold those of a large corpus.

    Attributes:
        utterance: the cut's id.
        name: of the features.
        kind, path, key: lhotse's storage.
        shape: (T, C), or (L, T, C), of what is read.
        start: the first row in the archive.
        frame_shift: seconds from row to row.
    """

    utterance: str
    name: str
    kind: str
    path: str
    key: str
    shape: tuple[int, ...]
    start: int
    frame_shift: float

    @property
    def rows(self) -> int:
        """T."""
        return self.shape[-2]

    def read(self, layer: int | None = None) -> Tensor:
        """The features, float32 (T, C) or (L, T, C); with ``layer``, that one of them, (T, C).

        Raises:
            UserError: the archive is gone or damaged, or has no such layer.
        """
        check_archive(self.path)
        end = self.start + self.rows
        options: dict[str, Any] = {"left_offset_frames": self.start, "right_offset_frames": end}
        if layer is not None:
            if len(self.shape) != 3 or not 0 <= layer < self.shape[0]:
                layers = f"{self.shape[0]} layers" if len(self.shape) == 3 else "no layers"
                raise UserError(f"{self.utterance}: {self.name} has {layers}, so there is no layer {layer}")
            if self.kind == STORAGE_TYPE:
                options["layer"] = layer
        try:
            values = np.asarray(get_reader(self.kind)(self.path).read(self.key, **options), dtype=np.float32)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"cannot read {self.path} ({error}); run the stage that made it again") from error
        wanted = self.shape if layer is None else self.shape[1:]
        if values.shape != wanted:
            raise UserError(
                f"{self.path} has {self.name} of {self.utterance} as {values.shape}, its manifest says {wanted}; "
                "run the stage that made it again"
            )
        return torch.from_numpy(values)


def read(cut: Cut, name: str = FEATURES, layer: int | None = None) -> Tensor:
    """The features of a cut: see :func:`find` and :meth:`Place.read`."""
    return find(cut, name).read(layer)


def find(cut: Cut, name: str = FEATURES) -> Place:
    """Where the features of a cut are.

    Of a part of an utterance, the rows that belong to it: those that begin in it, or, of kinds with a row at
    the centre of each frame, those centred in it, both ends included.  A last row of fewer frames is there
    too, which lhotse's own ``cut.load_...()`` may round away.

    Args:
        cut: with features.
        name: ``features``, as lhotse calls the cut's own, or the name of an array in ``cut.custom``.

    Raises:
        UserError: there are none of this name; or they are of the whole utterance, and the cut is a part of it.
    """
    if name == FEATURES:
        if not cut.has_features:
            raise _missing(cut, name)
        own = cut.features
        first = seconds_to_frames(max(cut.start - own.start, 0.0), own.frame_shift, max_index=own.num_frames)
        rows = min(cut.num_frames, own.num_frames - first)
        return Place(cut.id, name, own.storage_type, str(own.storage_path), own.storage_key,
                     (rows, own.num_features), first, own.frame_shift)  # fmt: skip
    track = (cut.custom or {}).get(name)
    if not isinstance(track, TemporalArray) or track.temporal_dim != len(track.shape) - 2:
        raise _missing(cut, name)
    shift, total, before = track.frame_shift, track.shape[track.temporal_dim], cut.start - track.start
    if total == 1 and shift > WHOLE:
        if abs(before) > 1e-3 or abs(cut.duration - shift) > 1e-3:
            raise UserError(
                f"{cut.id} is a part of an utterance ({cut.duration:g} s from {before:g} s on), and its {name} is of "
                f"the whole ({shift:g} s); compute it of this part"
            )
        first, rows = 0, 1
    else:
        kind = kind_of(name)
        first = seconds_to_frames(max(before, 0.0), shift, max_index=total)
        units = round(cut.duration / shift, 6)
        rows = min(1 + math.floor(units) if kind and kind.rows == "centre" else math.ceil(units), total - first)
    array = track.array
    shape = (*track.shape[:-2], rows, track.shape[-1])
    return Place(cut.id, name, array.storage_type, str(array.storage_path), array.storage_key, shape, first, shift)


def names_of(cut: Cut) -> list[str]:
    """The names of all features of a cut."""
    own = [FEATURES] if cut.has_features else []
    return own + sorted(name for name, value in (cut.custom or {}).items() if isinstance(value, TemporalArray))


def join_cuts(paths: Sequence[Path | str]) -> Iterator[Cut]:
    """The cuts of a manifest, with the features that other manifests have for the same utterances.

    Cuts come in the order of the first manifest.  Of the others, only where features are is held in memory.

    Args:
        paths: manifests of cuts with the same utterances.

    Raises:
        UserError: an utterance is not in all of them, or is another stretch of another recording; two have
            different features of one name; see also :func:`sertools.manifests.read_cuts`.
    """
    first, *others = paths
    tracks = [{cut.id: _Joined.of(cut) for cut in read_cuts(path)} for path in others]
    for cut in read_cuts(first):
        for path, found in zip(others, tracks, strict=True):
            own = found.get(cut.id)
            if own is None:
                raise UserError(
                    f"{cut.id} of {first} is not in {path}; features of one corpus are joined by utterance, so both "
                    "must be of the same manifest"
                )
            _add(cut, own, first, path)
        yield cut


@dataclass(frozen=True, slots=True)
class _Joined:
    """What is held of a cut whose features are added to another's."""

    stretch: tuple[str | None, float, float]
    features: Any
    arrays: dict[str, TemporalArray]

    @staticmethod
    def of(cut: Cut) -> "_Joined":
        arrays = {name: value for name, value in (cut.custom or {}).items() if isinstance(value, TemporalArray)}
        return _Joined(_stretch(cut), cut.features if cut.has_features else None, arrays)


def _stretch(cut: Cut) -> tuple[str | None, float, float]:
    recording = cut.recording.id if cut.has_recording else cut.features.recording_id if cut.has_features else None
    return recording, cut.start, cut.duration


def _add(cut: Cut, other: _Joined, where: Path | str, path: Path | str) -> None:
    """Give a cut what another has of the same utterance."""
    (recording, start, duration), (its, its_start, its_duration) = _stretch(cut), other.stretch
    same = recording is None or its is None or recording == its
    if not same or abs(start - its_start) > 1e-3 or abs(duration - its_duration) > 1e-3:
        raise UserError(
            f"{cut.id} is {duration:g} s of {recording} from {start:g} s on in {where}, and {its_duration:g} s of "
            f"{its} from {its_start:g} s on in {path}; their features do not belong together"
        )
    if other.features is not None:
        if not cut.has_features:
            cut.features = other.features
        elif cut.features.to_dict() != other.features.to_dict():
            raise UserError(
                f"{cut.id} has features (MFCC, filter banks) in {where} and others in {path}, and a cut has one kind "
                "of these; give one manifest, or one with other kinds"
            )
    for name, array in other.arrays.items():
        mine = (cut.custom or {}).get(name)
        if mine is None:
            cut.custom = {**(cut.custom or {}), name: array}
        elif mine.to_dict() != array.to_dict():
            raise UserError(f"{cut.id} has {name} in {where} and another in {path}; give one of them")


def _missing(cut: Cut, name: str) -> UserError:
    kind = kind_of(name)
    by = (kind.made_by or f"compute_features.py with a block {kind.name}:") if kind is not None else ""
    by = "the feature stage (local/compute_features.py)" if name == FEATURES else by
    made = f"; it is made by {by}" if by else ""
    return UserError(f"{cut.id} has no {name} (it has {', '.join(names_of(cut)) or 'no features'}){made}")
