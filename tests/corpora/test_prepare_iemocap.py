"""IEMOCAP: every trap of its files."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, SupervisionSet

from sertools.corpora.iemocap import prepare_iemocap
from sertools.corpora.iemocap_labels import EMOTIONS, UtteranceName, read_labels, read_transcripts
from sertools.errors import UserError

HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
BLOCK = """[6.2901 - 8.2357]\t{name}\t{code}\t[2.5000, 3.5000, 4.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral; Anger;\t()
C-E4:\tFrustration;\t(mildly)
C-F1:\tNeutral;\t(curious, val 5; act 5; dom 5)
A-E3:\tval 3; act 2; dom  1;\t()
A-E4:\tval 2; act ; dom  3;\t(val is low, (really))
A-F1:\tval ; act ; dom  ;\t()

"""
NAMES = [
    "Ses01F_impro01_F000", "Ses01F_impro01_M000", "Ses01F_script01_1_M012", "Ses02M_impro02_F001",
    "Ses03M_impro05a_F000", "Ses03M_impro05b_M001", "Ses04F_script02_2_M003", "Ses05M_script01_1b_F000",
]  # fmt: skip


def add(root: Path, name: str, code: str = "neu", text: str = "Excuse me.") -> None:
    session, dialogue = root / f"Session{name[4]}", name.rsplit("_", 1)[0]
    wav = session / "sentences/wav" / dialogue / f"{name}.wav"
    wav.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(wav, np.full(1600, 100, np.int16), 16000)
    labels = session / f"dialog/EmoEvaluation/{dialogue}.txt"
    transcripts = session / f"dialog/transcriptions/{dialogue}.txt"
    for path in (labels, transcripts):
        path.parent.mkdir(parents=True, exist_ok=True)
    if not labels.exists():
        labels.write_text(HEADER)
    with open(labels, "a") as stream:
        stream.write(BLOCK.format(name=name, code=code))
    with open(transcripts, "a", encoding="latin-1") as stream:
        stream.write(f"{name} [006.2901-008.2357]: {text}\n")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = tmp_path / "IEMOCAP_full_release"
    for name in NAMES:
        add(root, name)
    return root


def supervisions(folder: Path) -> dict[str, Any]:
    return {s.id: s for s in SupervisionSet.from_file(folder / "iemocap_supervisions_all.jsonl.gz")}


def test_names() -> None:
    assert UtteranceName.parse("Ses01F_script01_1_M012") == UtteranceName(
        "Ses01F_script01_1", "Session1", "Ses01M", "male", False
    )
    assert UtteranceName.parse("Ses03M_impro05a_F000") == UtteranceName(
        "Ses03M_impro05a", "Session3", "Ses03F", "female", True
    )
    assert UtteranceName.parse("Ses05M_script01_1b_F000").dialogue == "Ses05M_script01_1b"  # type: ignore[union-attr]
    assert UtteranceName.parse("Ses03F_impro05_MXX0") is None
    assert UtteranceName.parse("Ses06F_impro05_M000") is None


def test_words_in_time(corpus: Path, tmp_path: Path) -> None:
    path = corpus / "Session1/sentences/ForcedAlignment/Ses01F_impro01/Ses01F_impro01_F000.wdseg"
    path.parent.mkdir(parents=True)
    path.write_text("  SFrm EFrm SegAScr Word\n 0 1 -9 <s>\n 2 5 -9 EXCUSE(2)\n 6 9 -9 ME\n")
    result = prepare_iemocap(corpus, tmp_path / "out")
    assert "7 of 8 utterances have no words in time (sentences/ForcedAlignment/*/*.wdseg)" in result.notes
    made = supervisions(tmp_path / "out")
    words = [(item.symbol, item.start, item.end) for item in made["Ses01F_impro01_F000"].alignment["word"]]
    assert words == [("EXCUSE", 0.02, 0.06), ("ME", 0.06, 0.1)]
    assert made["Ses01F_impro01_M000"].alignment is None
    path.write_text("2 5 EXCUSE\n")
    with pytest.raises(UserError, match="word segment does not parse"):
        prepare_iemocap(corpus, tmp_path / "out")


def test_manifests(corpus: Path, tmp_path: Path) -> None:
    result = prepare_iemocap(corpus.parent, tmp_path / "out")
    assert result.counts == {"problems": 0, "all recordings": 8, "all utterances": 8, "all seconds": 0.8}
    assert "counts differ: utterances, all: 8, published 10039" in result.notes
    assert "counts differ: utterances of an emotion, frustrated: 0, published 1849" in result.notes
    made = supervisions(tmp_path / "out")
    assert list(made) == sorted(NAMES)
    speakers = ["Ses01F", "Ses01M", "Ses01M", "Ses02F", "Ses03F", "Ses03M", "Ses04M", "Ses05F"]
    assert [made[name].speaker for name in NAMES] == speakers
    assert [made[name].custom["improvised"] for name in NAMES] == ["impro" in name for name in NAMES]
    segment = made["Ses05M_script01_1b_F000"]
    assert (segment.text, segment.language, segment.gender) == ("Excuse me.", "English", "female")
    custom = segment.custom
    assert (custom["valence"], custom["arousal"], custom["dominance"]) == (2.5, 3.5, 4.5)
    assert (custom["session"], custom["dialogue"]) == ("Session5", "Ses05M_script01_1b")
    assert (custom["dialogue_start"], custom["dialogue_end"], custom["corpus"]) == (6.2901, 8.2357, "iemocap")
    cuts = CutSet.from_file(tmp_path / "out/iemocap_cuts_all.jsonl.gz").to_eager()
    assert [cut.id for cut in cuts] == [cut.supervisions[0].id for cut in cuts] == sorted(NAMES)
    assert cuts[NAMES[0]].load_audio().shape == (1, 1600)


def test_ratings(corpus: Path) -> None:
    labels, problems = read_labels(corpus / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt")
    assert problems == []
    ratings = {rating["rater"]: rating for rating in labels[0].ratings}
    assert list(ratings) == ["E2", "E3", "E4", "F1"]
    assert ratings["E3"] == {
        "rater": "E3", "kind": "external", "labels": ["neutral", "angry"],
        "valence": 3.0, "arousal": 2.0, "dominance": 1.0, "comments": [],
    }  # fmt: skip
    assert ratings["E4"]["arousal"] is None
    assert ratings["E4"]["comments"] == ["mildly", "val is low, (really)"]
    assert ratings["F1"]["kind"] == "self"
    assert ratings["F1"]["valence"] is None  # the "val 5" in the comment is no rating
    assert ratings["F1"]["comments"] == ["curious, val 5; act 5; dom 5"]


def test_all_codes_are_kept(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    for session in range(1, 6):
        for number, code in enumerate(EMOTIONS):
            add(root, f"Ses0{session}F_impro01_F{number:03d}", code)
    (tmp_path / "SYNTHETIC").touch()
    result = prepare_iemocap(root, tmp_path / "out")
    assert result.counts["all utterances"] == 55
    assert not any("counts differ" in note for note in result.notes)
    made = supervisions(tmp_path / "out").values()
    assert {segment.custom["emotion"] for segment in made} == set(EMOTIONS.values())
    assert {segment.custom["corpus"] for segment in made} == {"iemocap-synthetic"}


def test_files_that_are_not_read(corpus: Path, tmp_path: Path) -> None:
    folder = corpus / "Session1/dialog/EmoEvaluation"
    for name in ("Attribute", "Categorical", "Self-evaluation"):
        (folder / name).mkdir()
        (folder / name / "Ses01F_impro01_e1.txt").write_text("[rubbish\n")
    (folder / "._Ses01F_impro01.txt").write_bytes(b"\x00\x05\x16\x07[")
    (corpus / "Session1/dialog/transcriptions/._Ses01F_impro01.txt").write_bytes(b"Ses\x00")
    (corpus / f"Session1/sentences/wav/Ses01F_impro01/._{NAMES[0]}.wav").write_bytes(b"\x00")
    assert prepare_iemocap(corpus, tmp_path / "out").counts["all utterances"] == 8


def test_transcripts(tmp_path: Path) -> None:
    path = tmp_path / "Ses01F_impro01.txt"
    path.write_bytes(
        b"Ses01F_impro01_F000 [006.2901-008.2357]: caf\xe9 \x85 now [LAUGHTER]: yes.\r"
        b"M: Yeah.\r"
        b"Ses01F_impro01_MXX0 [151.2551-153.4251]: [LAUGHTER], That's what they say.\r\n"
        b"Ses01F_impro01_M000 [010.0000-012.0000]: Next.\n"
        b"Ses01F_impro01_M001 no time\n"
        b"Ses01F_impro01_M000 [010.0000-012.0000]: Again.\n"
    )
    transcripts = read_transcripts(path)
    assert transcripts.texts == {
        "Ses01F_impro01_F000": "caf\xe9 \x85 now [LAUGHTER]: yes.", "Ses01F_impro01_M000": "Next."
    }  # fmt: skip
    assert transcripts.unlabelled == ["Ses01F_impro01_MXX0"]
    assert transcripts.nameless == 1
    assert [(p.kind, p.line) for p in transcripts.problems] == [
        ("transcription line does not parse", 5), ("duplicate", 6),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\tneu\t", "\tbad\t"),
        ("[2.5000, 3.5000, 4.5000]", "[2.5000, 3.5000]"),
        ("Ses01F_impro01_F000", "Ses01F_impro01"),
        ("C-E2:\tNeutral;\t()", "C-E2 Neutral"),
        ("val 3; act 2; dom  1;", "val 3; act two; dom  1;"),
    ],
)
def test_label_line_that_does_not_parse(corpus: Path, old: str, new: str) -> None:
    path = corpus / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    _, problems = read_labels(path)
    number = next(n for n, line in enumerate(text.split("\n"), start=1) if old in line)
    assert [(problem.kind, problem.line) for problem in problems] == [("label line does not parse", number)]


def broken_wav(root: Path, content: Callable[[bytes], bytes]) -> None:
    path = root / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
    path.write_bytes(content(path.read_bytes()))


def remove(path: Path) -> None:
    path.unlink()


CASES: dict[str, Callable[[Path], None]] = {
    "missing audio": lambda root: remove(root / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"),
    "empty audio": lambda root: broken_wav(root, lambda content: b""),
    "truncated audio": lambda root: broken_wav(root, lambda content: content[:-2]),
    "unreadable audio": lambda root: broken_wav(root, lambda content: content[::-1]),
    "wrong sampling rate": lambda root: broken_wav(root, lambda c: c[:24] + b"\x40\x1f\0\0" + c[28:]),
    "audio without label": lambda root: remove(root / "Session2/dialog/EmoEvaluation/Ses02M_impro02.txt"),
    "no transcription": lambda root: remove(root / "Session2/dialog/transcriptions/Ses02M_impro02.txt"),
    "duplicate": lambda root: add(root, "Ses01F_impro01_F000"),
    "bad file name": lambda root: (root / "Session1/sentences/wav/Ses01F_impro01/x.wav").touch(),
    "label line does not parse": lambda root: add(root, "Ses01F_impro01_F001", "hmm"),
}


@pytest.mark.parametrize("kind", CASES)
def test_problems(corpus: Path, tmp_path: Path, kind: str) -> None:
    CASES[kind](corpus)
    with pytest.raises(UserError, match=f"x {kind}"):
        prepare_iemocap(corpus, tmp_path / "out")
    assert f": {kind}: " in (tmp_path / "out/problems.txt").read_text()
    assert not (tmp_path / "out/iemocap_cuts_all.jsonl.gz").exists()
    result = prepare_iemocap(corpus, tmp_path / "out", skip_bad=True)
    assert result.counts["problems"] >= 1
    left_out = kind not in ("duplicate", "bad file name", "label line does not parse")
    assert result.counts["all utterances"] == (7 if left_out else 8)


def test_missing_session(corpus: Path, tmp_path: Path) -> None:
    (corpus / "Session4").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="Session4"):
        prepare_iemocap(corpus, tmp_path / "out")


def test_wrong_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"IEMOCAP_full_release/Session\[1-5\].*EmoEvaluation"):
        prepare_iemocap(tmp_path, tmp_path / "out")


def test_same_bytes_and_up_to_date(corpus: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert prepare_iemocap(corpus, tmp_path / name, jobs=3).why == "not made yet, or not finished"
    assert prepare_iemocap(corpus, tmp_path / "a").why is None
    for path in sorted((tmp_path / "a").glob("*.gz")):
        assert gzip.decompress(path.read_bytes()) == gzip.decompress((tmp_path / "b" / path.name).read_bytes())
    (tmp_path / "a/iemocap_cuts_all.jsonl.gz").write_bytes(b"broken")
    assert "damaged" in str(prepare_iemocap(corpus, tmp_path / "a").why)
