"""Tables as other projects write them."""

import json
from pathlib import Path

import pytest
from lhotse import SupervisionSegment

from sertools.config import from_dict
from sertools.corpora.table.config import TableConfig
from sertools.corpora.table.corpus import prepare_table
from sertools.errors import UserError
from sertools.manifests import read_supervisions


def prepared(table: Path, audio: Path | None, out: Path, **settings: object) -> dict[str, SupervisionSegment]:
    prepare_table(table, audio, out, from_dict(TableConfig, settings))
    return {one.id: one for one in read_supervisions(out / "own_supervisions_all.jsonl.gz")}


def test_nkululekos_csv(clips: Path, tmp_path: Path) -> None:
    """The index of audformat, as its databases and exports have it: times as pandas writes them."""
    table = tmp_path / "emodb.csv"
    table.write_text(
        "file,start,end,emotion,speaker,gender\n"
        f"{clips}/a1.wav,0 days,0 days 00:00:00.200000,anger,p,female\n"
        f"{clips}/a2.wav,0 days,NaT,sadness,p,female\n"
    )
    found = prepared(table, None, tmp_path / "out")
    assert (found["a1_0000000_0000200"].duration, found["a1_0000000_0000200"].gender) == (0.2, "female")
    assert next(one.duration for name, one in found.items() if name.startswith("a2")) == 0.5


@pytest.mark.parametrize("kind", ["lines", "list", "object"])
def test_emobox(clips: Path, tmp_path: Path, kind: str) -> None:
    """The metadata of EmoBox (data/CORPUS/CORPUS.jsonl and .json): no speaker, which the file's name says."""
    rows = [
        {"key": f"cremad-{n}", "dataset": "cremad", "wav": f"downloads/{n}.wav", "type": "raw", "sample_rate": 16000,
         "num_frame": 8000.0, "task": "category", "length": 0.5, "emo": emotion, "channel": 1}
        for n, emotion in (("a1", "ANG"), ("b1", "SAD"))
    ]  # fmt: skip
    by_key = {row["key"]: {k: v for k, v in row.items() if k != "key"} for row in rows}
    text = {"lines": "\n".join(map(json.dumps, rows)), "list": json.dumps(rows), "object": json.dumps(by_key, indent=1)}
    (tmp_path / "downloads").symlink_to(clips)
    table = tmp_path / ("t.jsonl" if kind == "lines" else "t.json")
    table.write_text(text[kind])
    found = prepared(table, None, tmp_path / "out", pattern=r"/(?P<speaker>[ab])\d\.wav$")
    assert {name: (one.speaker, one.custom["emotion"], one.custom["key"]) for name, one in found.items()} == {
        "a1": ("a", "ANG", "cremad-a1"), "b1": ("b", "SAD", "cremad-b1"),
    }  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_hugging_faces_audiofolder(clips: Path, tmp_path: Path, suffix: str) -> None:
    """metadata.csv or metadata.jsonl beside the recordings, with file_name."""
    rows = [("a1.wav", "anna", "angry"), ("angry/c_1.wav", "ben", "sad")]
    if suffix == "csv":
        text = "file_name,speaker_id,label\n" + "".join(",".join(row) + "\n" for row in rows)
    else:
        text = "".join(
            json.dumps(dict(zip(("file_name", "speaker_id", "label"), row, strict=True))) + "\n" for row in rows
        )
    (tmp_path / f"metadata.{suffix}").write_text(text)
    found = prepared(tmp_path / f"metadata.{suffix}", clips, tmp_path / "out")
    assert {name: one.custom["emotion"] for name, one in found.items()} == {"a1": "angry", "c_1": "sad"}
    (tmp_path / "bad.jsonl").write_text('{"file_name": "a1.wav", "label": {"a": 1}}')
    with pytest.raises(UserError, match="a text or a number is expected"):
        prepared(tmp_path / "bad.jsonl", clips, tmp_path / "bad")


def test_a_database_of_audformat(clips: Path, tmp_path: Path) -> None:
    """Written by the package itself: tables of splits, speakers with a gender, segments."""
    audformat = pytest.importorskip("audformat")
    database = audformat.Database("mini")
    database.schemes["emotion"] = audformat.Scheme(labels=["angry", "sad"])
    database.schemes["speaker"] = audformat.Scheme(labels={"p": {"gender": "female"}, "q": {"gender": "male"}})
    database.schemes["arousal"] = audformat.Scheme("float")
    for split, files in (("train", ["a1.wav", "a2.wav"]), ("test", ["b1.wav", "b2.wav"])):
        database.splits[split] = audformat.Split(split)
        index = audformat.segmented_index(files, ["0s", "0.1s"], ["0.4s", None])
        table = database[f"emotion.{split}"] = audformat.Table(index, split_id=split)
        for name, values in (
            ("emotion", ["angry", "sad"]),
            ("speaker", ["pq"[split == "test"]] * 2),
            ("arousal", [1.5, 2]),
        ):
            table[name] = audformat.Column(scheme_id=name)
            table[name].set(values)
    database["other"] = audformat.Table(audformat.filewise_index(["a1.wav"]))
    database.save(str(tmp_path / "db"))
    for name in ("a1.wav", "a2.wav", "b1.wav", "b2.wav"):
        (tmp_path / "db" / name).symlink_to(clips / name)
    found = prepared(tmp_path / "db", None, tmp_path / "out")
    assert sorted((one.recording_id, one.duration, one.gender, one.custom["split"]) for one in found.values()) == [
        ("a1", 0.4, "female", "train"), ("a2", 0.4, "female", "train"), ("b1", 0.4, "male", "test"),
        ("b2", 0.4, "male", "test"),
    ]  # fmt: skip
    assert {one.custom["arousal"] for one in found.values()} == {1.5, 2.0}
    with pytest.raises(UserError, match=r"no table with a column mood .*emotion.train"):
        prepared(tmp_path / "db", None, tmp_path / "bad", columns={"label": "mood"})
