"""What rows of a table, or names of files, say: utterances of files, with a class, each once."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from sertools.corpora.found import Found
from sertools.corpora.layout import visible
from sertools.corpora.problems import Problem
from sertools.corpora.table.config import TableConfig
from sertools.corpora.table.formats import read_table
from sertools.corpora.table.rows import Row, find_roles
from sertools.errors import UserError

MISSING = ("nan", "nat", "<na>", "null", "n/a", "#n/a")
"""How programs write a value that is not there."""
SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aif", ".aiff", ".au", ".sph")


@dataclass(frozen=True)
class Utterance:
    """One row, understood: an utterance of a file.

    Attributes:
        where: for messages.
        line: of the table; None if there is none.
        file: path of the recording.
        name: path as written, without its suffix.
        start, end: in seconds; None for the whole file.
        values: role or field to text.
    """

    where: str
    line: int | None
    file: Path
    name: str
    start: float | None
    end: float | None
    values: dict[str, str]


def from_table(table: Path, folder: Path, config: TableConfig, found: Found) -> list[Utterance]:
    """The utterances of a table; rows that are not understood become problems of ``found``."""
    read = read_table(table, config)
    found.notes += read.notes
    roles = find_roles(str(table), read.columns, config)
    if config.file_name:
        named = set(re.findall(r"{([^{}]*)}", config.file_name))
        if missing := sorted(named - set(read.columns)):
            raise UserError(f"{table} has no column '{missing[0]}' (file_name); there are {', '.join(read.columns)}")
        roles = {role: column for role, column in roles.items() if role != "file"}
    elif "file" not in roles:
        raise UserError(
            f"{table} has no column of file names (file, path, filename ...); its first line must name the columns, "
            f"and --set columns.file=NAME says which one it is.  There are {', '.join(read.columns)}"
        )
    if "duration" in roles and ("start" not in roles or "end" in roles):
        del roles["duration"]  # of the whole recording, or said twice
    others = [name for name in read.columns if name not in roles.values()]
    made = []
    for row in read.rows:
        values = {role: row.values[column] for role, column in roles.items()} | {n: row.values[n] for n in others}
        if config.file_name:
            values["file"] = _filled(config.file_name, row.values)
        made.append(_utterance(row, values, "duration" if "duration" in roles else "end", table, folder, config, found))
    return [one for one in made if one is not None]


def _filled(pattern: str, values: dict[str, str]) -> str:
    """``pattern`` with the values of the columns that it has in braces."""
    return re.sub(r"{([^{}]*)}", lambda found: values[found[1]], pattern)


def _utterance(
    row: Row, values: dict[str, str], ends: str, table: Path, folder: Path, config: TableConfig, found: Found
) -> Utterance | None:
    written = values.pop("file")
    if not written:
        found.problems.append(Problem("no file name", str(table), "the row has none", row.line))
        return None
    if "\\" in written:
        written = PureWindowsPath(written).as_posix()
    written = written.removeprefix(PureWindowsPath(config.remove_prefix).as_posix() if config.remove_prefix else "")
    written = written.lstrip("/") if config.remove_prefix else written
    values = {name: composed(text) for name, text in values.items()}
    times: list[float | None] = []
    for role in ("start", ends):
        text = values.pop(role, "")
        try:
            times.append(_seconds(text, config))
        except ValueError:
            found.problems.append(
                Problem("bad time", str(table), f"{role} '{text}' is not a number of seconds", row.line)
            )
            return None
        if role == "duration" and None not in times:
            times[1] = round(sum(time or 0.0 for time in times), 6)
    path = _locate(Path(written), folder, table.parent)
    if config.pattern:
        match = re.search(config.pattern, written)
        named = match.groupdict() if match else {}
        values = {key: composed(value) for key, value in named.items() if value is not None} | values
    return Utterance(str(table), row.line, path, str(Path(written).with_suffix("")), times[0], times[1], values)


def _locate(written: Path, folder: Path, beside: Path) -> Path:
    """The file as written, below the audio folder or beside the table; or with its suffix in other letters."""
    candidates = [written] if written.is_absolute() else [folder / written, beside / written]
    for path in candidates:
        if path.exists():
            return path
    for path in candidates:
        # a Mac may have written one of the two with letters and accents apart
        for form in ("NFC", "NFD"):
            if (other := Path(unicodedata.normalize(form, str(path)))).exists():
                return other
        for suffix in (path.suffix.upper(), path.suffix.lower(), *SUFFIXES):
            other = path.with_suffix(suffix)
            # a name without a suffix may have dots of its own
            longer = path.with_name(path.name + suffix)
            if other.exists() and path.suffix.lower() == suffix.lower():
                return other
            if not path.suffix and longer.exists():
                return longer
    return candidates[0]


def composed(text: str) -> str:
    """Letters with their accents as one sign, so that what looks alike is alike (Unicode's NFC)."""
    return unicodedata.normalize("NFC", text)


def _seconds(text: str, config: TableConfig) -> float | None:
    """Seconds, also written as [HH:]MM:SS.fff or as pandas prints a time ("0 days 00:00:01.5"); None for nothing."""
    text = text.strip().removeprefix("0 days").strip() or text.replace("0 days", "0").strip()
    if text.lower() in ("", "nan", "nat", "none"):
        return None
    value = 0.0
    for part in text.split(":"):
        value = 60 * value + number(part, config)
    return value


def number(text: str, config: TableConfig) -> float:
    """A finite number.

    Raises:
        ValueError: it is none.
    """
    value = float(text.replace(",", ".") if config.decimal_comma else text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not finite")
    return value


def from_names(folder: Path, config: TableConfig, found: Found) -> list[Utterance]:
    """The recordings below a folder whose path matches ``config.pattern``, as utterances."""
    if not config.pattern:
        raise UserError(
            f"{folder} alone does not say who speaks and with which emotion: give a table, or a pattern of file names "
            "(pattern), such as (?P<label>[^/]+)/(?P<speaker>[^_]+)_ for LABEL/SPEAKER_1.wav"
        )
    made, others = [], []
    for path in visible(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()
        match = re.search(config.pattern, name)
        if match is None:
            others.append(name)
            continue
        values = {key: composed(value) for key, value in match.groupdict().items() if value is not None}
        made.append(Utterance(str(path), None, path, str(Path(name).with_suffix("")), None, None, values))
    if not made:
        shown = f"; the first of {len(others)} recordings is {others[0]}" if others else "; it has no recordings"
        raise UserError(f"no file name in {folder} matches pattern {config.pattern}{shown}")
    if others:
        found.notes.append(f"{len(others)} recordings do not match the pattern and are left out, such as {others[0]}")
    return made


def check_needed(utterances: Sequence[Utterance], config: TableConfig, where: str) -> None:
    """Raise UserError if nothing says the label, or who speaks."""
    known = {role for one in utterances for role in one.values}
    if not utterances:
        return
    if "label" not in known:
        raise UserError(
            f"{where}: nothing says the emotion of an utterance: a column label (or emotion, class ...), another one "
            "by --set columns.label=NAME (a column of numbers, too, with --target label:number), or a group "
            "(?P<label>...) in pattern"
        )
    if "speaker" not in known and not config.speaker_unknown:
        raise UserError(
            f"{where}: nothing says who speaks: a column speaker, another one by --set columns.speaker=NAME, or a "
            "group (?P<speaker>...) in pattern.  If nobody knows, say --set speaker_unknown=true; results then are "
            "marked, for tested speakers may have been trained on"
        )


def labelled(utterances: Iterable[Utterance], config: TableConfig, found: Found, where: str) -> list[Utterance]:
    """Utterances with a class; what is left out by configuration is counted, what is not understood is a problem."""
    utterances = list(utterances)
    counts = Counter(one.values.get("label", "") for one in utterances)
    _check_case(counts, config, where)
    fold = (lambda text: composed(text).strip().lower()) if config.ignore_case else composed
    classes = {fold(label): name for label, name in config.labels.items()}
    ignored = {fold(label) for label in config.leave_out}
    if config.labels and (never := [label for label in config.labels if fold(label) not in {fold(c) for c in counts}]):
        found.notes.append(f"labels that the configuration has and the corpus has not: {', '.join(never)}")
    kept, left_out = [], Counter[str]()
    for one in utterances:
        label = one.values.get("label", "")
        if fold(label) in ignored:
            left_out[label] += 1
            continue
        if not label:
            found.problems.append(Problem("no label", one.where, f"{one.name} has none", one.line))
            continue
        if label.lower() in MISSING and fold(label) not in classes:
            what = f"{one.name} has '{label}', as programs write nothing; a class of that name goes under labels"
            found.problems.append(Problem("no label", one.where, what, one.line))
            continue
        speaker = one.values.get("speaker", "")
        if speaker.lower() in ("", *MISSING) and not config.speaker_unknown:
            what = f"{one.name} has '{speaker}'; all without a name would be one speaker (see speaker_unknown)"
            found.problems.append(Problem("no speaker", one.where, what, one.line))
            continue
        if config.labels and fold(label) not in classes:
            what = f"'{label}' is in neither labels nor leave_out ({', '.join(config.labels)})"
            found.problems.append(Problem("unknown label", one.where, what, one.line))
            continue
        kept.append(one)
        one.values["class"] = classes.get(fold(label), fold(label))
    found.notes += [
        f"left out by leave_out: {count} utterances of '{label}'" for label, count in sorted(left_out.items())
    ]
    return kept


def _check_case(counts: Counter[str], config: TableConfig, where: str) -> None:
    if config.ignore_case:
        return
    by_fold: dict[str, list[str]] = {}
    for label in counts:
        by_fold.setdefault(label.strip().lower(), []).append(label)
    for alike in by_fold.values():
        if len(alike) > 1 and len({config.labels.get(label, label) for label in alike}) > 1:
            shown = " and ".join(f"'{label}' ({counts[label]})" for label in sorted(alike))
            raise UserError(
                f"{where}: the labels {shown} differ in their letters' case alone; say --set ignore_case=true to take "
                "them for one, or name each under labels"
            )


def unique(utterances: Sequence[Utterance], found: Found) -> list[Utterance]:
    """Without rows that stand twice; those that contradict each other are problems too."""
    seen: dict[tuple[str, float | None, float | None], Utterance] = {}
    for one in utterances:
        key = (str(one.file), one.start, one.end)
        first = seen.setdefault(key, one)
        if first is not one:
            told = "the same" if first.values == one.values else "another label, speaker or field"
            where = f" in line {first.line}" if first.line else ""
            found.problems.append(
                Problem("duplicate", one.where, f"{one.name} stands there{where} too, with {told}", one.line)
            )
    return list(seen.values())
