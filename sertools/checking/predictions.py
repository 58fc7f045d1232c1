"""Everything that is wrong with prediction tables, alone and beside the folds that they are of."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from sertools.checking.findings import Findings
from sertools.documents import MAX_JSON_BYTES
from sertools.errors import UserError
from sertools.partitions.folds import Folds
from sertools.reading import csv_text
from sertools.runs.predictions import COLUMNS, PARTS, PREDICTION, SUM_TOLERANCE, read_predictions


@dataclass(frozen=True)
class Row:
    """A row of a table: where it stands, and its values by column as text; ``repetition`` is 1 where it has none."""

    where: str
    values: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.values[name]


def check_table(path: Path) -> tuple[list[Row], tuple[str, ...], Findings]:
    """The rows of a table that have all columns, its classes (none of numbers), and what is wrong with it."""
    found = Findings()
    rows: list[Row] = []
    classes: tuple[str, ...] = ()
    try:
        with csv_text(path, MAX_JSON_BYTES) as stream:
            reader = csv.reader(stream)
            header = next(reader, [])
            lacking = [name for name in COLUMNS if name not in header and name != "repetition"]
            outputs = [name for name in header if name.startswith("p_") or name == PREDICTION]
            if lacking or not outputs:
                what = f"columns {', '.join(lacking)}" if lacking else f"columns p_<class>, or {PREDICTION}"
                found.add("header", f"{path}, line 1", f"the header lacks {what}")
                return [], (), found
            classes = tuple(name[2:] for name in outputs if name != PREDICTION)
            for values in reader:
                where = f"{path}, line {reader.line_num}"
                if len(values) != len(header):
                    found.add("columns", where, f"{len(values)} values where the header has {len(header)}")
                    continue
                row = Row(where, {"repetition": "1"} | dict(zip(header, values, strict=True)))
                rows.append(row)
                _check_row(row, classes, found)
    except csv.Error as error:
        found.add("reading", str(path), f"not a CSV table ({error})")
        return rows, classes, found
    except UserError as error:
        found.add("reading", str(path), str(error).removeprefix(f"{path} "))
        return rows, classes, found
    if not rows:
        found.add("rows", str(path), "it has no rows")
    elif not len(found):
        try:
            read_predictions(path)
        except UserError as error:
            found.add("other", str(path), str(error).removeprefix(f"{path}: "))
    return rows, classes, found


def _check_row(row: Row, classes: tuple[str, ...], found: Findings) -> None:
    if row["part"] not in PARTS:
        found.add("part", row.where, f"part must be dev or test, not '{row['part']}'")
    if classes and row["label"] not in classes:
        found.add("label", row.where, f"the label '{row['label']}' has no column p_{row['label']}")
    try:
        numbers = [float(row[f"p_{name}"]) for name in classes] or [float(row["label"]), float(row[PREDICTION])]
    except ValueError as error:
        found.add("number", row.where, str(error))
        return
    if not all(map(isfinite, numbers)):
        found.add("finite", row.where, "a value is not finite")
    elif classes and not all(0 <= value <= 1 + SUM_TOLERANCE for value in numbers):
        found.add("probability", row.where, f"these are no probabilities (logits?): {numbers}")
    elif classes and abs(sum(numbers) - 1) > SUM_TOLERANCE:
        found.add("sum", row.where, f"the probabilities sum to {sum(numbers):.6g}, not to 1")


def check_rows(rows: Sequence[Row], where: str, speaker_dependent: bool = False) -> Findings:
    """What is wrong between the rows of all tables of a system; whether folds say that speakers are shared."""
    found = Findings()
    seen: dict[tuple[str, ...], Row] = {}
    truth: dict[tuple[str, str], Row] = {}
    tested: dict[tuple[str, ...], Row] = {}
    runs: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: {"dev": set(), "test": set()})
    for row in rows:
        utterance, fold, seed = row["utterance"], row["fold"], row["seed"]
        first = seen.setdefault((utterance, fold, seed), row)
        if first is not row:
            leak = first["part"] != row["part"]
            how = "is in dev and in test" if leak else "stands there twice"
            what = f"utterance {utterance} {how} in fold {fold}, seed {seed} (also {first.where})"
            found.add(("twice", leak), row.where, what, leak)
        first = truth.setdefault((row["corpus"], utterance), row)
        for what in ("label", "speaker"):
            if first[what] != row[what]:
                said = f"{what} of utterance {utterance} is '{row[what]}', and '{first[what]}' in {first.where}"
                found.add(what, row.where, said)
        if row["part"] == "test":
            first = tested.setdefault((utterance, row["repetition"], seed), row)
            if first["fold"] != fold:
                said = f"utterance {utterance} is tested in folds {first['fold']} and {fold} of one repetition"
                found.add("tested twice", row.where, said)
        if row["part"] in PARTS:
            runs[fold, seed][row["part"]].add(row["speaker"])
    seeds = sorted({seed for _, seed in runs})
    for (fold, seed), speakers in sorted(runs.items()):
        for part in PARTS:
            if not speakers[part]:
                why = "; nothing can be calibrated, and who chose what on which data?" if part == "dev" else ""
                found.add(("missing", part), where, f"fold {fold}, seed {seed} has no rows of part {part}{why}")
        if not speaker_dependent and (shared := sorted(speakers["dev"] & speakers["test"])):
            said = f"fold {fold}: {len(shared)} speakers are in dev and in test, such as {shared[0]}"
            found.add("speakers", where, said, leak=True)
    for fold in sorted({fold for fold, _ in runs}):
        for seed in seeds:
            if (fold, seed) not in runs:
                found.add("seed", where, f"fold {fold} has no seed {seed}, which others have")
    return found


def check_together(rows: Sequence[Row], classes: tuple[str, ...], folds: Folds, where: str) -> Findings:
    """What is wrong between the tables of a system and the folds that it was to be tested on."""
    found = Findings()
    if classes != folds.classes:
        said = (
            f"classes {', '.join(classes) or '(a number)'}, the folds have {', '.join(folds.classes) or '(a number)'}"
        )
        found.add("classes", where, said)
    by_name = {fold.name: fold for fold in folds.folds}
    parts: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for row in rows:
        fold, utterance, part = by_name.get(row["fold"]), row["utterance"], row["part"]
        if fold is None:
            found.add("fold", row.where, f"the folds have no fold '{row['fold']}'")
            continue
        if part not in PARTS:
            continue
        parts[fold.name, row["seed"], part].add(utterance)
        if utterance in fold.train:
            found.add(
                "trained", row.where, f"utterance {utterance} trains in fold {fold.name}, and is {part} here", True
            )
        elif utterance not in getattr(fold, part):
            found.add(
                ("unexpected", part), row.where, f"utterance {utterance} is not in part {part} of fold {fold.name}"
            )
        _check_votes(row, folds, found)
        if row["repetition"] != str(fold.repetition):
            found.add("repetition", row.where, f"fold {fold.name} is of repetition {fold.repetition}")
        if utterance in folds.labels and not _same(row["label"], folds.labels[utterance]):
            said = f"the label of utterance {utterance} is '{row['label']}', the folds have '{folds.labels[utterance]}'"
            found.add("label", row.where, said)
        if utterance in folds.speakers and row["speaker"] != folds.speakers[utterance]:
            said = f"the speaker of {utterance} is '{row['speaker']}', the folds have '{folds.speakers[utterance]}'"
            found.add("speaker", row.where, said)
    for (name, seed, part), there in sorted(parts.items()):
        if lacking := sorted(set(getattr(by_name[name], part)) - there):
            said = (
                f"fold {name}, seed {seed}: {len(lacking)} utterances of part {part} have no row, such as {lacking[0]}"
            )
            found.add(("lacking", part), where, said)
    for name in sorted(by_name.keys() - {row["fold"] for row in rows}):
        found.add("no rows", where, f"no rows of fold {name}")
    return found


def _check_votes(row: Row, folds: Folds, found: Findings) -> None:
    """Whether a row has the raters' votes of the folds."""
    texts = [row.values.get(f"r_{name}") for name in folds.classes]
    shares = folds.shares.get(row["utterance"])
    if not folds.shares:
        if any(text is not None for text in texts):
            found.add("votes", row.where, "the table has raters' votes (columns r_<class>), the folds have none")
    elif None in texts:
        lacking = f"r_{folds.classes[texts.index(None)]}"
        found.add("votes", row.where, f"the folds have raters' votes, the table has no column {lacking}")
    elif shares is not None and not all(_near(str(t), s) for t, s in zip(texts, shares, strict=True)):
        said = ", ".join(f"{share:.6g}" for share in shares)
        what = (
            f"the raters' votes of utterance {row['utterance']} are {', '.join(map(str, texts))}, the folds have {said}"
        )
        found.add("shares", row.where, what)


def _near(text: str, share: float) -> bool:
    """Whether a share of votes is the same, which others may have rounded."""
    try:
        return abs(float(text) - share) <= SUM_TOLERANCE
    except ValueError:
        return False


def _same(text: str, label: str | float) -> bool:
    if isinstance(label, str):
        return text == label
    try:
        return abs(float(text) - label) <= 1e-6 * max(1.0, abs(label))
    except ValueError:
        return False
