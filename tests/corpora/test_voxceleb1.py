"""VoxCeleb1: both archives, the split for identification, old names, and what can be wrong with a copy."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import SupervisionSet

from sertools.corpora.registry import CORPORA, find_demo
from sertools.corpora.voxceleb1 import prepare_voxceleb1
from sertools.errors import UserError

META = """VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet
id10001\tA.J._Buckley\tm\tIreland\tdev
id10270\tEartha_Kitt\tf\tUSA\ttest
"""
SPLIT = [(1, "v1", 1), (1, "v1", 2), (2, "v2", 1), (3, "v3", 1)]
SUPERVISIONS = "voxceleb1_supervisions_all.jsonl.gz"


def corpus(root: Path, together: bool = True, named: bool = False) -> Path:
    """Two speakers, one in each archive; of early releases, folders are ``named`` by celebrity."""
    lines = []
    for who, name, archive in (("id10001", "A.J._Buckley", "dev"), ("id10270", "Eartha_Kitt", "test")):
        for part, video, number in SPLIT:
            place = f"{name if named else who}/{video}/{number:05d}.wav"
            lines.append(f"{part} {place}\n")
            path = root / ("wav" if together else f"vox1_{archive}_wav/wav") / place
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.full(1600, 0.1), 16000)
    (root / "iden_split.txt").write_text("".join(lines))
    (root / "vox1_meta.csv").write_text(META)
    return root


@pytest.mark.parametrize(("together", "named"), [(True, False), (False, False), (True, True)])
def test_both_archives_and_old_names(tmp_path: Path, together: bool, named: bool) -> None:
    root = corpus(tmp_path / "VoxCeleb1", together, named)
    done = prepare_voxceleb1(root.parent, tmp_path / "out")
    made = {one.id: one for one in SupervisionSet.from_file(tmp_path / "out" / SUPERVISIONS)}
    assert Counter((one.speaker, one.custom["split"]) for one in made.values()) == {
        (who, part): count for who in ("id10001", "id10270") for part, count in (("train", 2), ("dev", 1), ("test", 1))
    }
    one = made["id10270-v3-00001"]
    assert (one.gender, one.custom["nationality"], one.custom["session"]) == ("female", "USA", "v3")
    said = "\n".join(done.notes)
    assert "utterances: train 4, dev 2, test 2" in said
    assert "counts differ: utterances, train: 4, published 138361" in said


def test_the_first_archive_alone_is_not_enough(tmp_path: Path) -> None:
    root = corpus(tmp_path / "v", together=False)
    shutil.rmtree(root / "vox1_test_wav")
    with pytest.raises(UserError, match=r"no utterance of id10270 to id10309: they are in the second archive"):
        prepare_voxceleb1(root, tmp_path / "out")
    (root / "iden_split.txt").rename(root / "veri_test.txt")
    with pytest.raises(UserError, match=r"has no iden_split.txt.*veri_test.txt is another list"):
        prepare_voxceleb1(root, tmp_path / "out")
    with pytest.raises(UserError, match="none of wav, vox1_dev_wav/wav"):
        prepare_voxceleb1(tmp_path / "out", tmp_path / "again")


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    root = corpus(tmp_path / "v")
    (root / "wav/id10001/v1/00002.wav").unlink()
    with open(root / "iden_split.txt", "a") as stream:
        stream.write("4 id10001/v9/00001.wav\n1 id99999/v1/00001.wav\n1 id10001/v1/00001.wav\n")
    soundfile.write(root / "wav/id10001/v1/00009.wav", np.full(1600, 0.1), 16000)
    with pytest.raises(UserError) as said:
        prepare_voxceleb1(root, tmp_path / "out")
    for words in ("id10001-v1-00002 is in iden_split.txt", "'4 id10001/v9/00001.wav' is not as",
                  "does not have id99999", "id10001-v1-00001 stands there twice"):  # fmt: skip
        assert words in str(said.value), words
    done = prepare_voxceleb1(root, tmp_path / "out", skip_bad=True)
    assert done.counts["all utterances"] == 7
    assert any("1 audio files are not in iden_split.txt" in note for note in done.notes)
    (root / "iden_split.txt").write_text("1 id10001/v1/00001.wav\n")
    with pytest.raises(UserError, match="no usable utterance is of the part dev"):
        prepare_voxceleb1(root, tmp_path / "out")
    (root / "vox1_meta.csv").write_bytes(META.replace("Kitt", "Kítt").encode("latin-1"))
    with pytest.raises(UserError, match=r"vox1_meta\.csv is not UTF-8"):
        prepare_voxceleb1(root, tmp_path / "out")
    (root / "vox1_meta.csv").write_text(META.replace("\tIreland\tdev", ""))
    with pytest.raises(UserError, match="no usable utterance is of the part dev"):
        prepare_voxceleb1(root, tmp_path / "out")
    (root / "vox1_meta.csv").write_text(META.replace("Gender", "Sex"))
    with pytest.raises(UserError, match="has no column Gender; it has VoxCeleb1 ID"):
        prepare_voxceleb1(root, tmp_path / "out")


def test_the_miniature_is_such_a_corpus(tmp_path: Path) -> None:
    assert "voxceleb1" in CORPORA
    demo = find_demo("voxceleb1")
    demo.make(demo.config(speakers=4, videos=4, segments=1), tmp_path / "demo", jobs=1)
    done = prepare_voxceleb1(tmp_path / "demo", tmp_path / "out")
    assert (done.counts["all utterances"], done.counts["problems"]) == (16, 0)
    segments = list(SupervisionSet.from_file(tmp_path / "out" / SUPERVISIONS))
    assert {segment.speaker for segment in segments} == {"id10001", "id10002", "id10003", "id10270"}
    assert {segment.custom["corpus"] for segment in segments} == {"voxceleb1-synthetic"}
