"""CREMA-D and nEMO: the parts at hand, and what can be wrong with a copy."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import SupervisionSet

from sertools.corpora.cremad import VOTES, prepare_cremad
from sertools.corpora.nemo import prepare_nemo
from sertools.errors import UserError


@pytest.mark.shared
def test_the_real_parts(shared: Path, tmp_path: Path) -> None:
    done = prepare_nemo(shared / "data/nemo", tmp_path / "nemo")
    assert (done.counts["all utterances"], done.counts["problems"]) == (1784, 0)
    segments = SupervisionSet.from_file(tmp_path / "nemo/nemo_supervisions_all.jsonl.gz").to_eager()
    one = segments["EB0_anger_1"]
    assert (one.speaker, one.gender, one.text) == ("EB0", "female", "lubię czytać przed snem")
    assert (one.custom["emotion"], one.custom["age"], one.custom["session"]) == ("angry", 27, "EB0")
    assert len({segment.speaker for segment in segments}) == 9
    done = prepare_cremad(shared / "data/cremad", tmp_path / "cremad")
    assert (done.counts["all utterances"], done.counts["problems"]) == (1999, 0)
    assert any("digital silence" in note for note in done.notes)
    assert f"there is no {VOTES}, so the manifests have no raters' votes" in done.notes
    segments = SupervisionSet.from_file(tmp_path / "cremad/cremad_supervisions_all.jsonl.gz").to_eager()
    speakers = {segment.speaker: segment.gender for segment in segments}
    assert Counter(speakers.values()) == {"male": 40, "female": 38}
    # groups of actors have both sexes
    groups = {segment.custom["session"]: set() for segment in segments}
    for segment in segments:
        groups[segment.custom["session"]].add(segment.gender)
    assert all(found == {"male", "female"} for found in groups.values())
    assert segments["1001_DFA_SAD_XX" if "1001_DFA_SAD_XX" in segments.ids else next(iter(segments.ids))].language


@pytest.fixture
def nemo(tmp_path: Path) -> Path:
    root = tmp_path / "nEMO"
    (root / "samples").mkdir(parents=True)
    lines = ["file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"]
    for name in ("A_anger_1", "B_sadness_1"):
        soundfile.write(root / "samples" / f"{name}.wav", np.full(2400, 0.1), 24000)
        lines.append(f'{name}.wav\t{name.split("_")[1]}\tJa "ty".\tja ty\t{name[0]}\tmale\t30')
    (root / "data.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def test_nemo_as_released(nemo: Path, tmp_path: Path) -> None:
    done = prepare_nemo(nemo.parent, tmp_path / "out")
    assert done.counts["all utterances"] == 2
    assert any("2 files of 24000 Hz are resampled" in note for note in done.notes)
    table = nemo / "data.tsv"
    with open(table, "a", encoding="utf-8") as stream:
        stream.write("C_joy_1.wav\tjoy\ta\ta\tC\tmale\t1\nA_anger_1.wav\tanger\ta\ta\tA\tmale\t1\n")
        stream.write("D_anger_1.wav\tanger\ta\ta\tD\tmale\t1\nshort\n")
    soundfile.write(nemo / "samples" / "E_anger_1.wav", np.full(2400, 0.1), 24000)
    with pytest.raises(UserError) as said:
        prepare_nemo(nemo, tmp_path / "out")
    for kind in ("unknown emotion", "duplicate", "missing audio", "bad line", "no label"):
        assert f"1 x {kind}" in str(said.value)
    table.write_text("file,emotion\n")
    with pytest.raises(UserError, match="the first line must be file_id"):
        prepare_nemo(nemo, tmp_path / "out")
    shutil.rmtree(nemo / "samples")
    with pytest.raises(UserError, match="expected the layout"):
        prepare_nemo(nemo, tmp_path / "out")


def test_cremad_as_released(tmp_path: Path) -> None:
    root = tmp_path / "CREMA-D"
    (root / "AudioWAV").mkdir(parents=True)
    for name in ("1001_IEO_ANG_HI", "1002_IEO_NEU_XX", "1003_ZZZ_NEU_XX", "1009_IEO_NEU_XX"):
        soundfile.write(root / "AudioWAV" / f"{name}.wav", np.full(1600, 0.1), 16000)
    (root / "VideoDemographics.csv").write_text(
        '"ActorID","Age","Sex"\n1001,51,"Male"\n1002,21,"Female"\n1003,21,"Female"\n'
    )
    with pytest.raises(UserError, match=r"1 x bad file name, 1 x unknown actor"):
        prepare_cremad(root, tmp_path / "out")
    prepare_cremad(tmp_path, tmp_path / "out", skip_bad=True)
    segments = SupervisionSet.from_file(tmp_path / "out/cremad_supervisions_all.jsonl.gz").to_eager()
    one = segments["1001_IEO_ANG_HI"]
    assert (one.text, one.gender, one.custom["level"]) == ("it's eleven o'clock", "male", "high")
    assert "votes" not in one.custom
    # the crowd: what those said who heard the voice alone, not those who saw the face (2...)
    first = '"","A","D","F","H","N","S","fileName","numResponses"\n'
    rows = '"100009",5,5,0,0,1,1,"1001_IEO_ANG_HI",12\n"200009",9,0,0,0,0,0,"1001_IEO_ANG_HI",9\n'
    (root / VOTES).parent.mkdir()
    (root / VOTES).write_text(first + rows)
    done = prepare_cremad(root, tmp_path / "out", skip_bad=True)
    assert f"1 utterances have no votes in {VOTES}, such as 1002_IEO_NEU_XX" in done.notes
    segments = SupervisionSet.from_file(tmp_path / "out/cremad_supervisions_all.jsonl.gz").to_eager()
    found = segments["1001_IEO_ANG_HI"].custom["votes"]
    assert found == {"angry": 5, "disgusted": 5, "neutral": 1, "sad": 1}
    assert segments["1002_IEO_NEU_XX"].custom["votes"] == {}
    (root / VOTES).write_text(first + rows + rows + '"100010",1,0,0,0,0,0,"1002_IEO_NEU_XX",2\n')
    with pytest.raises(UserError, match=r"1 x bad line.*1 x duplicate"):
        prepare_cremad(root, tmp_path / "out")
    (root / VOTES).write_text("fileName,A\n")
    with pytest.raises(UserError, match="must name the column fileName, after that of the row's number"):
        prepare_cremad(root, tmp_path / "out", skip_bad=True)
    (root / "VideoDemographics.csv").unlink()
    with pytest.raises(UserError, match=r"has no VideoDemographics.csv"):
        prepare_cremad(root, tmp_path / "out")


def test_tables_in_other_encodings_and_of_other_kinds(nemo: Path, tmp_path: Path) -> None:
    """A table saved by a spreadsheet, or no table at all: a sentence with the file's name."""
    table = nemo / "data.tsv"
    good = table.read_bytes()
    for content, message in (
        (good.replace(b"Ja", "Żal".encode("iso8859_2")), "data.tsv is not UTF-8"),
        (good.replace(b"ty", b"t\0y"), "data.tsv holds NUL characters"),
        (good.decode().encode("utf-16"), "data.tsv"),
    ):
        table.write_bytes(content)
        with pytest.raises(UserError, match=message):
            prepare_nemo(nemo, tmp_path / "out")
    table.write_bytes(good.replace(b"ja ty", b"ja " * 100_000, 1))
    with pytest.raises(UserError, match="problem"):
        prepare_nemo(nemo, tmp_path / "out")
