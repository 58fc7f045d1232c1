"""Anyone's own corpus: tables as people have them, and what is said of their defects."""

import json
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from lhotse import CutSet, SupervisionSet

from sertools.config import from_dict
from sertools.corpora.table.config import TableConfig
from sertools.corpora.table.corpus import find, prepare_table
from sertools.errors import UserError

HEADER = "file,speaker,emotion"
ROWS = ["a1.wav,anna,angry", "a2.wav,anna,sad", "b1.wav,ben,angry", "b2.wav,ben,sad"]


def config(**values: Any) -> TableConfig:
    return from_dict(TableConfig, values)


def write(folder: Path, rows: list[str], header: str = HEADER, encoding: str = "utf-8", name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes("\n".join([header, *rows, ""]).encode(encoding))
    return path


def test_a_plain_table(clips: Path, tmp_path: Path) -> None:
    table = write(tmp_path, [f"{row},{n},hi {n}" for n, row in enumerate(ROWS)], f"{HEADER},arousal,text")
    done = prepare_table(table, clips, tmp_path / "out", config())
    assert done.counts["all utterances"] == 4
    cuts = CutSet.from_file(tmp_path / "out" / "own_cuts_all.jsonl.gz")
    one = next(cut for cut in cuts if cut.id == "b1").supervisions[0]
    assert (one.speaker, one.text, one.duration) == ("ben", "hi 2", 0.5)
    assert one.custom == {"emotion": "angry", "label": "angry", "session": "group02", "corpus": "own", "arousal": 2.0}
    assert prepare_table(table, clips, tmp_path / "out", config()).why is None
    again = prepare_table(table, clips, tmp_path / "out", config(labels={"angry": "hot", "sad": "cold"}))
    assert again.why is not None
    assert "labels" in again.why


@pytest.mark.parametrize(
    ("separator", "encoding"), [(";", "utf-8"), ("\t", "utf-8-sig"), (",", "utf-16"), ("|", "utf-8")]
)
def test_separators_and_encodings(clips: Path, tmp_path: Path, separator: str, encoding: str) -> None:
    rows = [row.replace(",", separator).replace("anna", "Änna") for row in ROWS]
    table = write(tmp_path, rows, HEADER.replace(",", separator), encoding)
    found = find(table, clips, config())
    assert {segment.speaker for segment in found.splits["all"][1]} == {"Änna", "ben"}


def test_an_encoding_that_is_not_utf8_is_named(clips: Path, tmp_path: Path) -> None:
    table = write(tmp_path, [ROWS[0], "b1.wav,Bjørn,sad"], encoding="latin-1")
    with pytest.raises(UserError, match=r"line 3: byte 0xf8 is not UTF-8.*--set encoding=cp1252"):
        find(table, clips, config())
    found = find(table, clips, config(encoding="latin-1"))
    assert "Bjørn" in {segment.speaker for segment in found.splits["all"][1]}


@pytest.mark.parametrize(
    ("header", "row", "settings", "message"),
    [
        ("file,speaker,mood", ROWS[0], {}, "nothing says the emotion"),
        ("file,who,emotion", ROWS[0], {}, "nothing says who speaks"),
        ("name,speaker,emotion", ROWS[0], {}, "no column of file names"),
        (HEADER, ROWS[0], {"columns": {"label": "emotoin"}}, "did you mean 'emotion'"),
        ("file,speaker,speaker,emotion", "a,b,c,d", {}, "2 columns are called speaker"),
        ("file,,emotion", ROWS[0], {}, "a column has no name"),
        (HEADER, "c1.wav,anna,angry", {}, r"none of its 1 files is there.*Is .*clips.* the folder .*--audio"),
        (HEADER, "/x/y/c1.wav,a,angry", {}, "another machine.*--set remove_prefix=/x/y makes"),
        (HEADER, r"C:\d\c1.wav,a,angry", {}, "--set remove_prefix=C:/d makes"),
        (HEADER, "a1.wav,anna,angry,very", {}, "line 2: 4 values where the header has 3"),
        (HEADER, "", {}, "a header and no rows"),
        ("file", "a1.wav", {}, "is one column"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(
    clips: Path, tmp_path: Path, header: str, row: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        find(write(tmp_path, [row], header), clips, config(**settings))


@pytest.mark.parametrize(
    ("row", "kind", "reason"),
    [
        ("c9.wav,carl,sad", "missing audio", "no file"),
        (ROWS[0], "duplicate", "stands there in line 2 too, with the same"),
        ("a1.wav,anna,sad", "duplicate", "another label"),
        (",anna,sad", "no file name", "the row has none"),
        ("a1.wav,anna,", "no label", "has none"),
        ("a1.wav,anna,nan", "no label", "as programs write nothing"),
        ("a1.wav,NaN,sad", "no speaker", "a1 has 'NaN'"),
        ("a1.wav,,sad", "no speaker", "all without a name would be one speaker"),
    ],
)
def test_bad_rows_are_problems_with_their_line(clips: Path, tmp_path: Path, row: str, kind: str, reason: str) -> None:
    found = find(write(tmp_path, [*ROWS, row]), clips, config())
    assert [problem.kind for problem in found.problems] == [kind]
    assert reason in found.problems[0].reason
    assert found.problems[0].line == 6
    assert len(found.splits["all"][1]) == 4


def test_a_recording_under_two_names(clips: Path, tmp_path: Path) -> None:
    """As a corpus that was unpacked twice: a copy in training and test would be learnt by heart."""
    for name in ("a1", "a2", "b1", "b2"):
        shutil.copy(clips / f"{name}.wav", tmp_path)
    shutil.copy(clips / "a1.wav", tmp_path / "x1.wav")
    shutil.copy(clips / "b1.wav", tmp_path / "x2.wav")
    found = find(write(tmp_path, [*ROWS, "x1.wav,anna,angry", "x2.wav,anna,sad"]), tmp_path, config())
    assert [(one.kind, one.line, one.reason) for one in found.problems] == [
        ("copied audio", 6, "x1 is a copy of a1, with the same label and speaker; keep one of them"),
        ("copied audio", 7, "x2 is a copy of b1, with another label or speaker; keep one of them"),
    ]
    assert {segment.id for segment in found.splits["all"][1]} == {"a1", "a2", "b1", "b2"}


def test_labels(clips: Path, tmp_path: Path) -> None:
    mixed = write(tmp_path, [*ROWS[:3], "b2.wav,ben,Angry"])
    with pytest.raises(UserError, match=r"'Angry' \(1\) and 'angry' \(2\) differ in their letters' case alone"):
        find(mixed, clips, config())
    found = find(mixed, clips, config(ignore_case=True))
    assert sorted(segment.custom["emotion"] for segment in found.splits["all"][1]) == ["angry", "angry", "angry", "sad"]
    german = write(tmp_path, ["a1.wav,anna,wütend", "a2.wav,anna,traurig", "b1.wav,ben,???"])
    names = {"wütend": "angry", "traurig": "sad", "froh": "happy"}
    found = find(german, clips, config(labels=names))
    assert [problem.kind for problem in found.problems] == ["unknown label"]
    found = find(german, clips, config(labels=names, leave_out=["???"]))
    assert not found.problems
    assert "left out by leave_out: 1 utterances of '???'" in found.notes
    assert "labels that the configuration has and the corpus has not: froh" in found.notes
    assert any("class angry has 1 utterances only" in note for note in found.notes)
    found = find(write(tmp_path, ["a1.wav,anna,nan"]), clips, config(labels={"nan": "neutral"}))
    assert not found.problems


def test_very_many_labels(clips: Path, tmp_path: Path) -> None:
    """Ratings, or texts, in the column that is called label."""
    for label, told in (
        ("{}.5", "they are numbers: --target label:number"),
        ("word {}", "is this the column of labels?"),
    ):
        rows = [f"a1.wav,anna,{label.format(n)},{n / 100},{n / 100 + 0.01}" for n in range(40)]
        found = find(write(tmp_path, rows, f"{HEADER},start,end"), clips, config())
        assert [told in note for note in found.notes if "classes" in note] == [True]
        assert not any("utterances only" in note for note in found.notes)


def test_segments_of_a_recording(clips: Path, tmp_path: Path) -> None:
    rows = ["a1.wav,anna,angry,0,0.2", "a1.wav,ben,sad,00:00.2,", "a1.wav,ben,sad,0.1,0.7", "a1.wav,ben,sad,x,1"]
    found = find(write(tmp_path, rows, f"{HEADER},start,end"), clips, config())
    assert [(s.id, s.start, s.duration) for s in found.splits["all"][1]] == [
        ("a1_0000000_0000200", 0.0, 0.2), ("a1_0000200_0000500", 0.2, 0.3),
    ]  # fmt: skip
    assert sorted(problem.kind for problem in found.problems) == ["bad segment", "bad time"]


def test_duration_in_place_of_an_end(clips: Path, tmp_path: Path) -> None:
    rows = ["a1.wav,anna,angry,0,0.2", "a1.wav,anna,sad,0.15,0.3", "b1.wav,ben,angry,0,"]
    found = find(write(tmp_path, rows, f"{HEADER},start,duration"), clips, config())
    assert [(s.start, s.duration) for s in found.splits["all"][1]] == [(0.0, 0.2), (0.15, 0.3), (0.0, 0.5)]
    assert any(
        "1 utterance overlaps another one of the same recording, such as lines 2 and 3" in n for n in found.notes
    )
    # without a start it is of the whole recording, and a field
    found = find(write(tmp_path, ["a1.wav,anna,angry,0.5"], f"{HEADER},duration"), clips, config())
    assert found.splits["all"][1][0].custom["duration"] == 0.5
    wrong = find(write(tmp_path, [*rows, "a2.wav,anna,sad,100,300"], f"{HEADER},start,end"), clips, config())
    assert "(milliseconds?  Seconds are expected)" in wrong.problems[-1].reason


def test_columns_that_programs_add(clips: Path, tmp_path: Path) -> None:
    """pandas' index, and the separators that spreadsheets leave at the ends of lines."""
    rows = [f"{n},{row}," for n, row in enumerate(ROWS)]
    found = find(write(tmp_path, rows, f",{HEADER},"), clips, config())
    assert len(found.splits["all"][1]) == 4
    assert any("a column without a name, empty or of running numbers, is left out" in note for note in found.notes)


def test_accents_in_two_forms(clips: Path, tmp_path: Path) -> None:
    """As a Mac and another computer write them: one label, one speaker, one file."""
    shutil.copy(clips / "a1.wav", tmp_path / unicodedata.normalize("NFD", "é.wav"))
    rows = [unicodedata.normalize("NFC", "é.wav,André,fröhlich"), unicodedata.normalize("NFD", "b1.wav,André,fröhlich")]
    shutil.copy(clips / "b1.wav", tmp_path)
    found = find(write(tmp_path, rows), tmp_path, config())
    assert not found.problems
    assert {(s.speaker, s.custom["emotion"]) for s in found.splits["all"][1]} == {("André", "fröhlich")}


def test_names_of_files_instead_of_a_table(clips: Path) -> None:
    found = find(None, clips, config(pattern=r"^(?P<label>\w+)/(?P<speaker>\w)_"))
    segments = found.splits["all"][1]
    # alike names in two folders stay two utterances
    assert {segment.id for segment in segments} == {"angry-c_1", "sad-c_1"}
    assert {segment.custom["emotion"] for segment in segments} == {"angry", "sad"}
    assert any("4 recordings do not match the pattern" in note for note in found.notes)
    with pytest.raises(UserError, match="does not say who speaks"):
        find(None, clips, config())
    with pytest.raises(UserError, match=r"no file name in .* matches"):
        find(None, clips, config(pattern=r"(?P<label>\d{9})"))


def test_paths_and_suffixes_as_people_write_them(clips: Path, tmp_path: Path) -> None:
    rows = [f"{clips / 'a1.wav'},anna,angry", "a2,anna,sad", "b1.WAV,ben,angry", r"sad\c_1.wav,ben,sad"]
    found = find(write(tmp_path, rows), clips, config())
    assert not found.problems
    assert {segment.id for segment in found.splits["all"][1]} == {"a1", "a2", "b1", "c_1"}
    moved = write(tmp_path, [f"/old/disk/{row}" for row in ROWS])
    assert len(find(moved, clips, config(remove_prefix="/old/disk")).splits["all"][1]) == 4


def test_one_speaker_or_none(clips: Path, tmp_path: Path) -> None:
    found = find(write(tmp_path, ROWS[:2]), clips, config())
    assert any("all utterances are of one speaker" in note for note in found.notes)
    nobody = write(tmp_path, ["a1.wav,angry", "b1.wav,sad"], "file,emotion")
    found = find(nobody, clips, config(speaker_unknown=True))
    assert {segment.speaker for segment in found.splits["all"][1]} == {"unknown"}


def test_json_lines_of_emobox_and_audiofolders(clips: Path, tmp_path: Path) -> None:
    lines = [{"key": "x", "dataset": "d", "wav": "a1.wav", "emo": "angry", "speaker": "anna"},
             {"key": "y", "wav": "b1.wav", "emo": "sad", "speaker": "ben", "length": 0.5}]  # fmt: skip
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = find(path, clips, config())
    segments = SupervisionSet.from_segments(found.splits["all"][1])
    assert segments["b1"].custom["length"] == 0.5
    path.write_text('{"wav": "a1.wav", "emo": ["angry"]}\n')
    with pytest.raises(UserError, match="line 1: emo: a text or a number is expected"):
        find(path, clips, config())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "my corpus"}, "letters, digits"),
        ({"columns": {"filename": "x"}}, "no role 'filename'"),
        ({"pattern": "("}, "no regular expression"),
        ({"pattern": "abc"}, "no named group"),
        ({"groups": 2}, "at least 3"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config(**settings)
