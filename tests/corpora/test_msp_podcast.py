"""MSP-Podcast: names, columns and parts that changed from release to release, and the synthetic miniature."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import SupervisionSet

from sertools.config import load_config
from sertools.corpora.msp_podcast import COLUMNS, prepare_msp_podcast
from sertools.errors import UserError
from sertools.partitions.labelling import label, with_votes
from sertools.partitions.making import FoldsConfig

ROOT = Path(__file__).resolve().parents[2]

ROWS = """MSP-PODCAST_0001_0008.wav,A,5.5,2.2,5.0,97,Male,Train
MSP-PODCAST_0002_0001.wav,N,4.0,4.0,4.0,Unknown,Unknown,Train
MSP-PODCAST_0003_0001.wav,X,3.0,5.000001,4.0,12,Female,{dev}
MSP-PODCAST_0004_0001.wav,C,3.0,5.0,4.0,13,Female,Test1
MSP-PODCAST_0005_0001_0002.wav,,,,,,Female,Test3
"""
SUPERVISIONS = "msp_podcast_supervisions_all.jsonl.gz"


def corpus(root: Path, rows: str, table: str = "labels_consensus.csv", columns: tuple[str, ...] = COLUMNS) -> Path:
    for folder in ("Labels", "Audios"):
        (root / folder).mkdir(parents=True)
    (root / "Labels" / table).write_text(",".join(columns) + "\n" + rows)
    for row in rows.splitlines():
        samples, rate = (
            (np.full(1600, 0.1), 16000) if not row.startswith("MSP-PODCAST_0001") else (np.full((4410, 2), 0.1), 44100)
        )
        soundfile.write(root / "Audios" / row.split(",")[0], samples, rate)
    return root


@pytest.mark.parametrize(
    ("dev", "table"), [("Development", "labels_consensus.csv"), ("Validation", "labels_concensus.csv")]
)
def test_the_names_of_releases(tmp_path: Path, dev: str, table: str) -> None:
    done = prepare_msp_podcast(corpus(tmp_path / "MSP-PODCAST", ROWS.format(dev=dev), table).parent, tmp_path / "out")
    made = {one.id: one for one in SupervisionSet.from_file(tmp_path / "out" / SUPERVISIONS)}
    splits = Counter(one.custom["split"] for one in made.values())
    assert splits == {"train": 2, "dev": 1, "test1": 1, "test3": 1}
    first = made["MSP-PODCAST_0001_0008"]
    assert (first.speaker, first.gender, first.custom["emotion"], first.custom["session"]) == (
        "97",
        "male",
        "angry",
        "0001",
    )
    assert [first.custom[name] for name in ("arousal", "valence", "dominance")] == [5.5, 2.2, 5.0]
    assert (made["MSP-PODCAST_0002_0001"].speaker, made["MSP-PODCAST_0002_0001"].gender) == ("unknown_0002", None)
    assert "arousal" not in made["MSP-PODCAST_0005_0001_0002"].custom
    said = "\n".join(done.notes)
    for words in ("no release that is known", "1 utterances of test3 have no labels", "by unknown speakers",
                  "44100 Hz are resampled", "1 files have several channels"):  # fmt: skip
        assert words in said


RATERS = """MSP-PODCAST_0001_0008.wav; A; A:5.500000; V:2.200000; D:5.000000;
WORKER00000001; Angry; Angry,Annoyed; A:6.000000; V:2.000000; D:5.000000;
WORKER00000002; Neutral; Neutral; A:6.000000; V:2.000000; D:5.000000;
WORKER00000003; Other-confused; Concerned,Confused; A:6.000000; V:2.000000; D:5.000000;
WORKER00000002; Surprise; Surprise; A:6.000000; V:2.000000; D:5.000000;
WORKER00000004; Joy; Happy; A:6.000000; V:2.000000; D:5.000000;

MSP-PODCAST_0002_0001.wav; N; A:4.000000; V:4.000000; D:4.000000;
WORKER00000001
WORKER00000001; Neutral; Neutral; A:4.000000; V:4.000000; D:4.000000;
"""


def test_votes_of_single_raters(tmp_path: Path) -> None:
    root = corpus(tmp_path / "MSP-PODCAST", ROWS.format(dev="Development"))
    done = prepare_msp_podcast(root, tmp_path / "out")
    assert any("there is no labels.txt" in note for note in done.notes)
    (root / "Labels/labels.txt").write_text(RATERS)
    done = prepare_msp_podcast(root, tmp_path / "out")
    made = {one.id: one.custom for one in SupervisionSet.from_file(tmp_path / "out" / SUPERVISIONS)}
    assert made["MSP-PODCAST_0001_0008"]["votes"] == {"angry": 1, "other": 2, "surprised": 1}
    assert made["MSP-PODCAST_0002_0001"]["votes"] == {"neutral": 1}
    assert made["MSP-PODCAST_0003_0001"]["votes"] == {}
    assert "votes" not in made["MSP-PODCAST_0005_0001_0002"]
    said = "\n".join(done.notes)
    for words in ("1 lines of labels.txt do not parse and count for nothing, such as 9",
                  "1 raters' lines repeat a rater of the same utterance",
                  "1 votes for no emotion of the corpus count as other: Joy (1)",
                  "2 utterances have no raters in labels.txt, such as MSP-PODCAST_0003_0001"):  # fmt: skip
        assert words in said


def test_an_empty_part_is_an_error(tmp_path: Path) -> None:
    for name, dev in (("a", "Dev set"), ("b", "Test2")):
        with pytest.raises(UserError, match=rf"no usable utterance is of the part dev; Split_Set has .*'{dev}' \(1\)"):
            prepare_msp_podcast(corpus(tmp_path / name, ROWS.format(dev=dev)), tmp_path / "out")
    with pytest.raises(UserError, match="has no column Split_Set; it has FileName"):
        prepare_msp_podcast(corpus(tmp_path / "c", "", columns=COLUMNS[:-1]), tmp_path / "out")
    with pytest.raises(UserError, match="has neither labels_consensus"):
        prepare_msp_podcast(corpus(tmp_path / "d", "", "labels.csv"), tmp_path / "out")


@pytest.mark.parametrize(
    ("line", "message"),
    [("MSP-PODCAST_0009_0001.wav,Q,3,3,3,1,Male,Train", "EmoClass 'Q'"),
     ("MSP-PODCAST_0009_0001.wav,N,8,3,3,1,Male,Train", "EmoAct '8' of MSP-PODCAST_0009_0001 is no number of 1 to 7"),
     ("MSP-PODCAST_0009_0001.wav,N,3,nan,3,1,Male,Train", "EmoVal 'nan'"),
     ("MSP-PODCAST_0009_0001.wav,N,3,3,3,1,Male,Test9", "Split_Set 'Test9'"),
     ("one.wav,N,3,3,3,1,Male,Train", "'one.wav' is not a name"),
     ("MSP-PODCAST_0001_0008.wav,N,3,3,3,1,Male,Train", "stands there twice")],
)  # fmt: skip
def test_bad_lines_are_problems(tmp_path: Path, line: str, message: str) -> None:
    root = corpus(tmp_path / "c", ROWS.format(dev="Development") + line + "\n")
    with pytest.raises(UserError, match=message):
        prepare_msp_podcast(root, tmp_path / "out")
    prepare_msp_podcast(root, tmp_path / "out", skip_bad=True)
    assert len(list(SupervisionSet.from_file(tmp_path / "out" / SUPERVISIONS))) == 5


def test_missing_audio(tmp_path: Path) -> None:
    root = corpus(tmp_path / "c", ROWS.format(dev="Development"))
    (root / "Audios/MSP-PODCAST_0004_0001.wav").unlink()
    with pytest.raises(UserError, match=r"MSP-PODCAST_0004_0001\.wav is in labels_consensus\.csv and not there"):
        prepare_msp_podcast(root, tmp_path / "out")


def test_the_miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("espeakng_loader")
    from sertools.corpora.demo import msp_podcast as demo

    monkeypatch.setattr(demo, "SPEAKERS", {"Train": 2, "Development": 1, "Test1": 1, "Test2": 1})
    demo.make_demo_msp_podcast(demo.DemoMspPodcast(turns=8, release="1.8"), tmp_path / "demo", jobs=1)
    prepare_msp_podcast(tmp_path / "demo", tmp_path / "out")
    found = list(SupervisionSet.from_file(tmp_path / "out" / SUPERVISIONS))
    assert len(found) == 8 * 5
    assert {one.custom["corpus"] for one in found} == {"msp_podcast-synthetic"}
    assert {one.custom["split"] for one in found} == {"train", "dev", "test1", "test2"}
    for one in found:
        most = sorted(one.custom["votes"].values(), reverse=True)
        assert sum(most) == 5
        if one.custom["emotion"] == "no agreement":
            assert most[:2] == [2, 2]
        else:
            assert max(one.custom["votes"], key=one.custom["votes"].get) == one.custom["emotion"]
    folds = load_config(FoldsConfig, ROOT / "egs/msp_podcast/conf/folds/raters.yaml")
    rated = with_votes(label(found, folds.target), found, folds.target.raters)
    assert rated.target.raters
    assert all(rated.shares[name][rated.target.classes.index(emotion)] >= 0.5 for name, emotion in rated.labels.items())
    for part in ("train", "dev", "test1"):
        rated = [one.custom["arousal"] for one in found if one.custom["split"] == part]
        assert min(rated) <= 3 < 5 <= max(rated)
