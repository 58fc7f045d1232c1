"""What a file that someone else may have made can hold: the type, range and size of every field that is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from sertools.errors import UserError

LOWEST_RATE, HIGHEST_RATE = 1000, 384_000
"""Sampling rates in Hz: below, nothing of speech is left; above, no recorder goes."""
CHANNELS = 64
SECONDS = 7 * 24 * 3600.0
"""The longest recording."""
SAMPLES = int(SECONDS) * HIGHEST_RATE
STREAM_BYTES = 1 << 30
"""What is held in memory of standard input."""
TEXT_BYTES = 1 << 26
"""A file that is read whole as text: a configuration, a checkpoint's info, a table of transcripts."""
LINE_BYTES = 1 << 24
"""A line of a manifest."""
DEPTH, NODES = 50, 2_000_000
"""Of values in YAML, where an alias counts as what it stands for."""


@dataclass(frozen=True)
class Number:
    """A finite number in ``low`` .. ``high``; an integer if ``whole``."""

    low: float
    high: float
    whole: bool = False

    def check(self, value: Any, where: str) -> None:
        good = isinstance(value, int if self.whole else int | float) and not isinstance(value, bool)
        # compared as it is: an integer may be too large for a float
        if not (good and self.low <= value <= self.high):
            kind = "an integer" if self.whole else "a number"
            raise UserError(f"{where} must be {kind} in {self.low:g} .. {self.high:g}, not {shown(value)}")


@dataclass(frozen=True)
class Text:
    """A text of ``shortest`` to ``longest`` characters."""

    longest: int = 100_000
    shortest: int = 0

    def check(self, value: Any, where: str) -> None:
        if not isinstance(value, str):
            raise UserError(f"{where} must be a text, not {shown(value)}")
        if len(value) > self.longest:
            raise UserError(f"{where} has {len(value)} characters; at most {self.longest} are read")
        if len(value) < self.shortest:
            raise UserError(f"{where} is empty")
        if "\0" in value or (not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value)):
            raise UserError(f"{where} holds what is no character (NUL, or half of one): {shown(value)}")


@dataclass(frozen=True)
class Anything:
    """A value that is looked at where it is used."""

    def check(self, value: Any, where: str) -> None:
        pass


@dataclass(frozen=True)
class AnyOf:
    """One of several kinds; the message is the last one's."""

    kinds: tuple[Any, ...]

    def check(self, value: Any, where: str) -> None:
        for kind in self.kinds[:-1]:
            try:
                return kind.check(value, where)
            except UserError:
                continue
        return self.kinds[-1].check(value, where)


@dataclass(frozen=True)
class Nothing:
    """``null``."""

    def check(self, value: Any, where: str) -> None:
        if value is not None:
            raise UserError(f"{where} must be null, not {shown(value)}")


@dataclass(frozen=True)
class Truth:
    """``true`` or ``false``."""

    def check(self, value: Any, where: str) -> None:
        if not isinstance(value, bool):
            raise UserError(f"{where} must be true or false, not {shown(value)}")


@dataclass(frozen=True)
class ListOf:
    """A list of ``shortest`` to ``longest`` values of one kind."""

    of: Any
    longest: int = 1_000_000
    shortest: int = 0

    def check(self, value: Any, where: str) -> None:
        if not isinstance(value, list | tuple):
            raise UserError(f"{where} must be a list, not {shown(value)}")
        if not self.shortest <= len(value) <= self.longest:
            raise UserError(f"{where} has {len(value)} values; there must be {self.shortest} .. {self.longest}")
        for number, item in enumerate(value):
            self.of.check(item, f"{where}[{number}]")


@dataclass(frozen=True)
class MappingOf:
    """An object whose keys are texts, and whose values are of one kind."""

    of: Any

    def check(self, value: Any, where: str) -> None:
        if not isinstance(value, Mapping):
            raise UserError(f"{where} must be an object {{...}}, not {shown(value)}")
        for key, item in value.items():
            Text(1000).check(key, f"{where}: the name {shown(key)}")
            self.of.check(item, f"{where}.{key}")


@dataclass(frozen=True)
class Record:
    """An object with fields; those without a kind here are not read.

    Attributes:
        fields: name to kind.
        required: names that must be there.
    """

    fields: Mapping[str, Any]
    required: frozenset[str] = field(default_factory=frozenset)

    def check(self, value: Any, where: str) -> None:
        if not isinstance(value, Mapping):
            raise UserError(f"{where} must be an object {{...}}, not {shown(value)}")
        for name in sorted(self.required - value.keys()):
            raise UserError(f"{where} has no '{name}'")
        for name, kind in self.fields.items():
            if name in value:
                kind.check(value[name], f"{where}: {name}")


def optional(kind: Any) -> AnyOf:
    """``null``, or the kind."""
    return AnyOf((Nothing(), kind))


def shown(value: Any) -> str:
    """A value in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_size(value: Any, where: str, nodes: int = NODES) -> None:
    """Check that a value of YAML or JSON is no bomb: an alias counts as often as it is used.

    Raises:
        UserError: it is nested too deep, or holds too many values.
    """
    level, count, depth = [value], 0, 0
    while level:
        count, depth = count + len(level), depth + 1
        if depth > DEPTH or count > nodes:
            what = f"nested deeper than {DEPTH} levels" if depth > DEPTH else f"more than {nodes} values"
            raise UserError(f"{where} is no file of ours: {what} (does it refer to itself?)")
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += [*item.keys(), *item.values()]
            elif isinstance(item, list | tuple | set):
                below += item
            if len(below) > nodes:
                break
        level = below


# -- the fields themselves

_NAME = Text(10_000)
_ID = Text(10_000, 1)
_SPEAKER = AnyOf((Nothing(), Number(-(2**63), 2**63, whole=True), _NAME))
_RATE = Number(LOWEST_RATE, HIGHEST_RATE, whole=True)
_CHANNEL = Number(0, CHANNELS - 1, whole=True)
_CHANNEL_LIST = ListOf(_CHANNEL, CHANNELS, 1)
_CHANNELS = AnyOf((_CHANNEL_LIST, _CHANNEL))
_LENGTH = Number(1e-4, SECONDS)
_TRANSFORM = Record(
    {
        "name": _NAME,
        "kwargs": Record(
            {
                "factor": Number(0.01, 1000),
                "source_sampling_rate": _RATE,
                "target_sampling_rate": _RATE,
                "target": Number(-200, 100),
            }
        ),
    },
    frozenset({"name", "kwargs"}),
)
RECORDING = Record(
    {
        "id": _ID,
        "sources": ListOf(
            Record(
                {"type": _NAME, "channels": _CHANNEL_LIST, "source": _NAME}, frozenset({"type", "channels", "source"})
            ),
            CHANNELS,
            1,
        ),
        "sampling_rate": _RATE,
        "num_samples": Number(1, SAMPLES, whole=True),
        "duration": _LENGTH,
        "channel_ids": optional(_CHANNEL_LIST),
        "transforms": optional(ListOf(_TRANSFORM, 20)),
    },
    frozenset({"id", "sources", "sampling_rate", "num_samples", "duration"}),
)
FEATURES = Record(
    {
        "type": _NAME,
        "num_frames": Number(0, 10**9, whole=True),
        "num_features": Number(1, 10**6, whole=True),
        "frame_shift": Number(1e-4, 100),
        "sampling_rate": _RATE,
        "start": Number(0, SECONDS),
        "duration": Number(0, SECONDS),
        "storage_type": _NAME,
        "storage_path": _NAME,
        "storage_key": _NAME,
        "recording_id": optional(_NAME),
        "channels": optional(_CHANNELS),
    }
)
SUPERVISION = Record(
    {
        "id": _ID,
        "recording_id": _ID,
        # in a cut that was taken out of it, a supervision may begin before
        "start": Number(-SECONDS, SECONDS),
        "duration": Number(0, SECONDS),
        "channel": _CHANNELS,
        "text": optional(Text()),
        "language": optional(_NAME),
        "speaker": _SPEAKER,
        "gender": optional(_NAME),
        "custom": optional(MappingOf(Anything())),
        "alignment": optional(MappingOf(ListOf(Anything()))),
    },
    frozenset({"id", "recording_id", "start", "duration"}),
)
CUT = Record(
    {
        "id": _ID,
        "start": Number(0, SECONDS),
        # a cut of no length is refused by name where its audio is needed
        "duration": Number(0, SECONDS),
        "channel": _CHANNELS,
        "supervisions": ListOf(SUPERVISION, 100_000),
        "recording": optional(RECORDING),
        "features": optional(FEATURES),
        "custom": optional(MappingOf(Anything())),
    },
    frozenset({"id", "start", "duration"}),
)
INFO = Record(
    {
        "classes": ListOf(_NAME, 10_000),
        "phones": ListOf(_NAME, 100_000),
        "silence": AnyOf((Nothing(), Number(0, 10**6, whole=True), _NAME)),
        "topology": MappingOf(Anything()),
        "pretrained": optional(_NAME),
        "extractor": optional(_NAME),
        "vocabulary": optional(_NAME),
        "versions": MappingOf(_NAME),
        "inputs": MappingOf(optional(_NAME)),
        "remarks": ListOf(Text(), 1000),
        "one_seed": Truth(),
        "parameters": Number(0, 1e15),
        "trained_on": ListOf(_NAME, 10**7),
        "guessed": ListOf(_NAME, 10**7),
        "chosen_on": ListOf(_NAME, 10**7),
        "carried_from": ListOf(_NAME, 10_000),
        "speech": Record(
            {"seconds": Number(0, 1e12), "corpora": ListOf(_NAME, 10_000), "labels": ListOf(_NAME, 1000)},
            frozenset({"seconds"}),
        ),
        "best_epoch": optional(Number(0, 10**9, whole=True)),
        "auxiliary": MappingOf(ListOf(_NAME, 10**6)),
        "auxiliary_outputs": optional(Number(0, 10**6, whole=True)),
    }
)
"""``info.json`` of a checkpoint."""
_MEASURE = optional(Number(-1e300, 1e300))
HISTORY = Record(
    {
        "epoch": Number(0, 10**9, whole=True),
        "train_loss": _MEASURE,
        "dev_loss": _MEASURE,
        "dev_ua": optional(Number(0, 1)),
        "learning_rate": _MEASURE,
        "seconds": optional(Number(0, 1e9)),
    },
    frozenset({"epoch"}),
)
"""A line of ``history.jsonl``."""


_STATES = Number(0, 10**9, whole=True)
GRAPHS = Record(
    {
        "config": MappingOf(Anything()),
        "phones": ListOf(_NAME, 100_000, 1),
        "lm_start": _STATES,
        "states": _STATES,
        "lm_states": _STATES,
    },
    frozenset({"config", "phones", "lm_start", "states", "lm_states"}),
)
"""``graphs.json``."""
LANG = Record(
    {
        "units": _NAME,
        "silence": AnyOf((Nothing(), Number(0, 10**6, whole=True), _NAME)),
        "unknown": optional(_NAME),
        "text": MappingOf(Anything()),
        "alphabet": AnyOf((_NAME, ListOf(_NAME))),
        "boundary": optional(AnyOf((_NAME, Anything()))),
    },
    frozenset({"units", "silence", "unknown", "text"}),
)
"""``lang.json`` of a lang folder."""
VOCABULARY = Record(
    {"units": _NAME, "text": MappingOf(Anything()), "sha256": _NAME}, frozenset({"units", "text", "sha256"})
)

# -- settings of configurations, by the end of their names; the first that fits
_SETTINGS = (
    ("sampling_rate", Number(LOWEST_RATE, HIGHEST_RATE)),
    ("frame_length", Number(1e-4, 10)),
    ("frame_shift", Number(1e-4, 10)),
    ("_freq", Number(-HIGHEST_RATE, HIGHEST_RATE)),
    ("num_mel_bins", Number(1, 1024)),
    ("num_ceps", Number(1, 1024)),
    ("num_gaussians", Number(1, 65536)),
    ("dim", Number(0, 16384)),
    ("d_model", Number(0, 16384)),
    ("hidden", Number(0, 16384)),
    ("layers", Number(0, 256)),
    ("heads", Number(0, 256)),
    ("strides", Number(0, 1000)),
    ("splice", Number(0, 1000)),
    ("subsampling", Number(0, 1000)),
    ("stack", Number(0, 1000)),
    ("context", Number(-1000, 1000)),
    ("workers", Number(0, 1000)),
    ("seed", Number(0, 2**32 - 1)),
    ("tick_power", Number(-40, 20)),
    ("block_minutes", Number(1e-3, 1e5)),
)
_OTHERS = Number(-(2**63), 2**63)
_VALUES = 10_000


def check_setting(name: str, value: Any, where: str) -> None:
    """Check that the numbers in a setting of a configuration are finite, and of a size that there is.

    Raises:
        UserError: they are not, or a list of them has more than 10 000.
    """
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        kind = next((kind for end, kind in _SETTINGS if name.endswith(end)), _OTHERS)
        # a whole number may be too large to be looked at as a float
        if isinstance(value, float) and not isfinite(value):
            raise UserError(f"{where} must be a finite number, not {shown(value)}")
        if not kind.low <= value <= kind.high:
            raise UserError(f"{where} must be in {kind.low:g} .. {kind.high:g}, not {shown(value)}")
    elif isinstance(value, tuple) and value and isinstance(value[0], int | float | tuple):
        if len(value) > _VALUES:
            raise UserError(f"{where} has {len(value)} values; at most {_VALUES} are read")
        for item in value:
            check_setting(name, item, where)
