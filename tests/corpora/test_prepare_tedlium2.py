"""TED-LIUM 2: STM lines, Kaldi's text, padding, pseudo-speakers, broken copies."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet

from sertools.corpora.stm import Segment, normalise, pad, pseudo_speakers, read_stm
from sertools.corpora.tedlium2 import prepare_tedlium2
from sertools.errors import UserError

STM = """;; a comment
Talk_A 1 Talk_A 0.00 1.00 unknown ignore_time_segment_in_scoring
Talk_A 1 inter_segment_gap 1.00 1.20 <NA> ignore_time_segment_in_scoring
Talk_A 1 someone 1.30 2.29 <o,f0,female> it 's a(2) {NOISE} <sil> test (Talk_A-7)
Talk_A 1 Talk_A 2.40 4.00 <o,f0,male> i ignore_time <unk> that
"""
TALKS = {"train": "Talk_A", "dev": "Talk_of_dev", "test": "Talk_of_test"}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = tmp_path / "TEDLIUM_release2"
    for split, talk in TALKS.items():
        for kind in ("sph", "stm"):
            (root / split / kind).mkdir(parents=True)
        (root / split / "stm" / f"{talk}.stm").write_text(STM.replace("Talk_A", talk))
        samples = np.arange(16000 * 5, dtype=np.int16) + np.int16(len(talk) - 6)
        soundfile.write(root / split / "sph" / f"{talk}.sph", samples, 16000, format="NIST", subtype="PCM_16")
    return root


def segment(start: float, end: float) -> Segment:
    return Segment("t", "t", start, end, None, "", Path("t.stm"), 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("you 're sure it 's fine", "you're sure it's fine"),
        ("you 'd 've", "you'd've"),
        ("a(2) the(3) word", "a the word"),
        ("{NOISE} hello {COUGH} <sil> there", "[NOISE] hello [COUGH] there"),
        ("{BREATH} 'cause <unk> 'em", "[BREATH] 'cause <unk> 'em"),
        ("the end (Talk-123)", "the end"),
        ("the (middle) stays", "the (middle) stays"),
        ("'tis", "'tis"),
        ("<sil>", ""),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_read_stm(tmp_path: Path) -> None:
    path = tmp_path / "Talk_A.stm"
    path.write_bytes(
        STM.encode()
        + b"Talk_A 1 Talk_A 4.1 <o,f0,male> no end\n"
        + b"Talk_A 1 Talk_A 4.5 4.2 <o,f0,male> backwards\n"
        + b"Talk_A 1 Talk_A 4.5 4.6 <F0_M> caf\xe9\n"
        + b"Talk_A 1 Talk_A 4.6 4.8 <F0_F> good\r\n"
    )
    segments, gaps, problems = read_stm(path)
    assert gaps == 2
    assert [(s.gender, s.text, s.line) for s in segments] == [
        ("female", "it's a [NOISE] test", 4), ("male", "i ignore_time <unk> that", 5), ("female", "good", 9)
    ]  # fmt: skip
    assert segments[0].speaker == "someone"
    assert [problem.line for problem in problems] == [6, 7, 8]
    # 2.29 * 100 is 228.99999: Kaldi's awk cuts it off
    assert segments[0].id == "Talk_A-0000130-0000229"
    assert segment(0.29, 1.0).id == "t-0000028-0000100"


def test_pad() -> None:
    times = pad([segment(3.0, 4.0), segment(0.05, 1.0), segment(1.1, 2.0)], 0.15, 0.1, duration=4.05)
    assert times[0] == pytest.approx((2.85, 4.05))  # not beyond the recording
    assert times[1] == pytest.approx((0.0, 1.025))  # not before it; meets its neighbour half-way
    assert times[2] == pytest.approx((1.025, 2.1))


def test_pseudo_speakers() -> None:
    assert pseudo_speakers("t", [100, 80, 1, 200, 1], 180) == ["t-1", "t-1", "t-2", "t-3", "t-4"]
    assert pseudo_speakers("t", [180] * 10, 180)[0] == "t-01"


def test_manifests(corpus: Path, tmp_path: Path) -> None:
    result = prepare_tedlium2(tmp_path, tmp_path / "out")
    assert result.counts["train utterances"] == result.counts["dev utterances"] == 2
    assert "2 gaps left out of train" in result.notes
    assert "counts differ: talks, train: 1, published 1495" in result.notes
    assert "counts differ: segments, test: 2, published 1155" in result.notes
    train, dev = (
        CutSet.from_file(tmp_path / f"out/tedlium2_cuts_{split}.jsonl.gz").to_eager() for split in ("train", "dev")
    )
    first, second = train
    assert (first.start, first.duration) == pytest.approx((1.15, 1.17))
    assert (second.start, second.end) == pytest.approx((2.32, 4.1))
    assert [(cut.start, cut.end) for cut in dev] == [pytest.approx((1.3, 2.29)), pytest.approx((2.4, 4.0))]
    supervision = first.supervisions[0]
    assert first.id == supervision.id == "Talk_A-0000130-0000229"
    assert (supervision.start, supervision.speaker, supervision.gender) == (0.0, "Talk_A", "female")
    assert supervision.custom == {
        "talk": "Talk_A", "stm_speaker": "someone", "pseudo_speaker": "Talk_A-1",
        "stm_start": 1.3, "stm_end": 2.29, "corpus": "tedlium2",
    }  # fmt: skip
    # lhotse reads the audio without sph2pipe, and the right part of it
    np.testing.assert_allclose(first.load_audio()[0, :2] * 32768, np.array([18400, 18401]))
    assert first.load_audio().shape == (1, first.num_samples)


def test_links_come_back(corpus: Path, tmp_path: Path) -> None:
    prepare_tedlium2(corpus, tmp_path / "out")
    link = tmp_path / "out/audio/train/Talk_A.nist"
    link.unlink()
    assert prepare_tedlium2(corpus, tmp_path / "out").why is None
    assert link.resolve() == (corpus / "train/sph/Talk_A.sph").resolve()


def test_synthetic(corpus: Path, tmp_path: Path) -> None:
    (corpus / "SYNTHETIC").touch()
    assert not any("differ" in note for note in prepare_tedlium2(corpus, tmp_path / "out").notes)
    cut = next(iter(CutSet.from_file(tmp_path / "out/tedlium2_cuts_dev.jsonl.gz")))
    assert cut.supervisions[0].custom["corpus"] == "tedlium2-synthetic"


def test_problems(corpus: Path, tmp_path: Path) -> None:
    sph = corpus / "train/sph/Talk_A.sph"
    good = sph.read_bytes()
    (corpus / "train/sph/Talk_B.sph").write_bytes(good)
    (corpus / "train/sph/Talk_C.sph").write_bytes(good[:-500])
    (corpus / "train/stm/Talk_C.stm").write_text(STM.replace("Talk_A", "Talk_C"))
    (corpus / "train/stm/Talk_D.stm").write_text(STM.replace("Talk_A", "Talk_D"))
    with open(corpus / "train/stm/Talk_A.stm", "a") as stream:
        stream.write("Talk_A 1 Talk_A 4.20 4.30 <o,f0,male> <sil>\n")
        stream.write("Talk_A 1 Talk_A 4.50 5.20 <o,f0,male> runs over\n")
        stream.write("Talk_A 1 Talk_A 8.00 9.00 <o,f0,male> outside\n")
        stream.write("Talk_A 1 Talk_A 2.40 4.00 <o,f0,male> again\n")
        stream.write("Talk_A 1 rubbish\n")
    with pytest.raises(UserError, match="6 problems"):
        prepare_tedlium2(corpus, tmp_path / "out")
    report = (tmp_path / "out/problems.txt").read_text()
    for line in (
        "Talk_B.sph: audio without label",
        "Talk_C.sph: truncated audio: the header claims 500 bytes more",
        "Talk_D.sph: missing audio",
        "Talk_A.stm:8: segment outside of the audio",
        "Talk_A.stm:9: duplicate",
        "Talk_A.stm:10: STM line does not parse",
        "1 segments without words left out of train",
        "1 segments of train cut at the end of the audio",
    ):
        assert line in report
    result = prepare_tedlium2(corpus, tmp_path / "out", skip_bad=True)
    assert (result.counts["train recordings"], result.counts["train utterances"]) == (1, 3)
    last = list(CutSet.from_file(tmp_path / "out/tedlium2_cuts_train.jsonl.gz"))[-1]
    assert last.end == 5.0


def test_a_talk_in_two_parts(corpus: Path, tmp_path: Path) -> None:
    """Release 3's data/ has the talks of dev and test in it."""
    shutil.copy(corpus / "dev/sph/Talk_of_dev.sph", corpus / "train/sph/Talk_of_dev.sph")
    shutil.copy(corpus / "dev/stm/Talk_of_dev.stm", corpus / "train/stm/Talk_of_dev.stm")
    with pytest.raises(UserError, match=r"1 x talk in two parts\)(?s:.*)train/Talk_of_dev\..*is in dev, too"):
        prepare_tedlium2(corpus, tmp_path / "out")
    result = prepare_tedlium2(corpus, tmp_path / "out", skip_bad=True)
    # dev keeps it
    assert [result.counts[f"{split} recordings"] for split in TALKS] == [1, 1, 1]


def test_a_talk_in_two_parts_under_another_name(corpus: Path, tmp_path: Path) -> None:
    shutil.copy(corpus / "test/sph/Talk_of_test.sph", corpus / "train/sph/Talk_B.sph")
    (corpus / "train/stm/Talk_B.stm").write_text(STM.replace("Talk_A", "Talk_B"))
    with pytest.raises(UserError, match=r"1 x audio in two parts\)(?s:.*)it is the audio of Talk_of_test in test"):
        prepare_tedlium2(corpus, tmp_path / "out")
    result = prepare_tedlium2(corpus, tmp_path / "out", skip_bad=True)
    assert [result.counts[f"{split} recordings"] for split in TALKS] == [1, 1, 1]


def test_missing_split(corpus: Path, tmp_path: Path) -> None:
    (corpus / "dev").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"(?s)dev/sph: missing folder"):
        prepare_tedlium2(corpus, tmp_path / "out")


def test_wrong_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"TEDLIUM_release2/train.*\{train,dev,test\}/\{sph,stm\}"):
        prepare_tedlium2(tmp_path, tmp_path / "out")
