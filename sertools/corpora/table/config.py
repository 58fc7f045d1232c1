"""How a table of recordings is read: ``conf/table.yaml`` of egs/own."""

import re
from dataclasses import dataclass, field
from typing import Literal

ROLES = ("file", "speaker", "label", "session", "gender", "text", "language", "start", "end", "duration", "split")
"""What sertools knows a column as; every other column becomes a field that can be a target."""

USUAL: dict[str, tuple[str, ...]] = {
    "file": ("file", "path", "filename", "file_name", "filepath", "file_path", "wav", "audio"),
    "speaker": ("speaker", "speaker_id", "spk", "actor", "subject", "talker"),
    "label": ("label", "emotion", "emo", "class", "category"),
    "session": ("session", "session_id", "group", "fold"),
    "gender": ("gender", "sex"),
    "text": ("text", "transcript", "transcription", "sentence", "raw_text"),
    "language": ("language", "lang"),
    "start": ("start", "begin", "onset", "start_time"),
    "end": ("end", "offset", "end_time", "stop"),
    "duration": ("duration", "dur"),
    "split": ("split", "part", "partition", "subset", "split_set"),
}
"""Names that columns of a role usually have, tried in this order, in any case."""


@dataclass(frozen=True)
class TableConfig:
    """How rows become utterances.

    Attributes:
        name: of the corpus, in every table of results; letters, digits, ``_`` and ``-``.
        columns: role to the name of the column; a role that is not given is looked for under its usual names.
        file_name: how a file is called, of columns in braces, where no column says it:
            ``{split}/dia{Dialogue_ID}_utt{Utterance_ID}.wav``.
        remove_prefix: taken from the front of paths in the table, which then are below the audio folder: for absolute
            paths of another machine.
        pattern: a regular expression on the path of a file below the audio folder, with named groups for roles
            and fields: ``(?P<speaker>\\d\\d)...(?P<label>[A-Z])``.  With a table it adds what the table lacks; without
            one, every file that matches is an utterance.
        labels: label in the table to class; several labels may become one class.  Empty: labels are classes.
        leave_out: labels that are not used, such as ``xxx``.
        ignore_case: labels that differ in case or outer spaces alone are one label.
        speaker_unknown: the corpus does not say who speaks.  Then nothing can be said of new speakers: only random
            folds are possible, and every output says so.
        groups: speakers are dealt into so many groups, which are left out together, where there is no session.
        gender: value in the table to ``male`` or ``female``.
        encoding: of the table; empty: UTF-8, or what a byte order mark says.
        separator: of the table's columns; empty: the one of comma, semicolon, tab and bar that fits.
        decimal_comma: numbers are written 0,5.
        sampling_rate: that recordings are resampled to when they are read.
        language: of all utterances, where there is no such column.
    """

    name: str = "own"
    columns: dict[str, str] = field(default_factory=dict)
    file_name: str = ""
    remove_prefix: str = ""
    pattern: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    leave_out: tuple[str, ...] = ()
    ignore_case: bool = False
    speaker_unknown: bool = False
    groups: int = 5
    gender: dict[str, Literal["male", "female"]] = field(default_factory=dict)
    encoding: str = ""
    separator: str = ""
    decimal_comma: bool = False
    sampling_rate: int = 16000
    language: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", self.name):
            raise ValueError(f"name: letters, digits, _ and - are allowed, not '{self.name}'")
        if unknown := set(self.columns) - set(ROLES):
            raise ValueError(f"columns: no role '{min(unknown)}'; there are {', '.join(ROLES)}")
        if self.groups < 3:
            raise ValueError(f"groups must be at least 3 (train, dev, test), not {self.groups}")
        if len(self.separator) > 1:
            raise ValueError(f"separator is one character, not '{self.separator}'")
        if not 8000 <= self.sampling_rate <= 48000:
            raise ValueError(f"sampling_rate must be in 8000 .. 48000, not {self.sampling_rate}")
        try:
            compiled = re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern is no regular expression: {error}") from error
        if self.pattern and not compiled.groupindex:
            raise ValueError("pattern has no named group such as (?P<speaker>...)")
