"""LibriSpeech: subsets, transcripts, speakers, lhotse's own manifests, broken copies."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, RecordingSet, SupervisionSet
from lhotse.recipes.librispeech import prepare_librispeech as prepare_by_lhotse

from sertools.corpora.librispeech import HOURS, READERS, UTTERANCES, prepare_librispeech
from sertools.errors import UserError

SPEAKERS = """;ID  |SEX| SUBSET           |MINUTES| NAME
14   | F | train-clean-100  | 0.10  | Kristin
60   | M | train-clean-100  | 0.10  | |CBW|Simon
84   | F | dev-clean        | 0.05  | Christie
367  | F | test-other       | 0.05  | Kathleen
"""
READ = {"train-clean-100": ("14", "60"), "dev-clean": ("84",), "test-other": ("367",)}


def write_chapter(root: Path, subset: str, speaker: str, chapter: str = "7") -> Path:
    folder = root / subset / speaker / chapter
    folder.mkdir(parents=True)
    samples = np.random.default_rng(int(speaker)).normal(0, 3000, 48000).astype(np.int16)
    lines = []
    for number, text in enumerate(("IT'S A TEST", "OF  SPEECH")[: 1 if speaker in ("84", "367") else 2]):
        soundfile.write(folder / f"{speaker}-{chapter}-{number:04d}.flac", samples, 16000, subtype="PCM_16")
        lines.append(f"{speaker}-{chapter}-{number:04d} {text}\n")
    (folder / f"{speaker}-{chapter}.trans.txt").write_text("".join(lines))
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = tmp_path / "LibriSpeech"
    for subset, speakers in READ.items():
        for speaker in speakers:
            write_chapter(root, subset, speaker)
    (root / "SPEAKERS.TXT").write_text(SPEAKERS)
    return root


def cuts(folder: Path, split: str) -> CutSet:
    return CutSet.from_file(folder / f"librispeech_cuts_{split}.jsonl.gz").to_eager()


def test_manifests(corpus: Path, tmp_path: Path) -> None:
    result = prepare_librispeech(tmp_path, tmp_path / "out")
    assert {name: count for name, count in result.counts.items() if "utterances" in name} == {
        "train utterances": 4, "dev utterances": 1, "test-other utterances": 1
    }  # fmt: skip
    assert result.notes[0].startswith("subsets: dev-clean, test-other, train-clean-100; not used or not there: dev-ot")
    for note in (
        "counts differ: utterances, train-clean-100: 4, published 28539",
        "counts differ: speakers, dev-clean: 1, published 40",
        "counts differ: hours, test-other: 0.0, published 5.3",
    ):
        assert note in result.notes
    assert not any("minutes" in note for note in result.notes)
    segment = next(iter(cuts(tmp_path / "out", "train"))).supervisions[0]
    assert (segment.id, segment.speaker, segment.gender, segment.text) == ("14-7-0000", "14", "female", "it's a test")
    assert segment.custom == {"subset": "train-clean-100", "chapter": "7", "corpus": "librispeech"}
    genders = {cut.supervisions[0].speaker: cut.supervisions[0].gender for cut in cuts(tmp_path / "out", "train")}
    assert genders == {"14": "female", "60": "male"}
    assert prepare_librispeech(corpus, tmp_path / "out").why is None


def test_equals_lhotse(corpus: Path, tmp_path: Path) -> None:
    """What lhotse's recipe makes is what we make, but for the gender and custom."""
    (corpus / "train-clean-100/14/7/14-7.trans.txt").write_text("14-7-0000 IT'S A TEST\n14-7-0001 OF SPEECH\n")
    (corpus / "train-clean-100/60/7/60-7.trans.txt").write_text("60-7-0000 IT'S A TEST\n60-7-0001 OF SPEECH\n")
    theirs = prepare_by_lhotse(corpus, normalize_text="lower")["train-clean-100"]
    prepare_librispeech(corpus, tmp_path / "out")
    recordings = RecordingSet.from_file(tmp_path / "out/librispeech_recordings_train.jsonl.gz").to_eager()
    supervisions = SupervisionSet.from_file(tmp_path / "out/librispeech_supervisions_train.jsonl.gz").to_eager()
    assert list(recordings) == sorted(theirs["recordings"], key=lambda one: one.id)
    ours = [one.to_dict() for one in supervisions]
    for one in ours:
        del one["gender"], one["custom"]
    assert ours == [one.to_dict() for one in sorted(theirs["supervisions"], key=lambda one: one.id)]


def test_train_subsets(corpus: Path, tmp_path: Path) -> None:
    write_chapter(corpus, "train-other-500", "20")
    both = prepare_librispeech(corpus, tmp_path / "both")
    one = prepare_librispeech(corpus, tmp_path / "one", train_subsets=["train-other-500"])
    assert (both.counts["train utterances"], one.counts["train utterances"]) == (6, 2)
    assert one.counts["dev utterances"] == 1
    assert "1 speakers are not in SPEAKERS.TXT: their gender is unknown" in one.notes
    again = prepare_librispeech(corpus, tmp_path / "one")
    assert again.why is not None
    assert "subsets" in again.why
    assert (tmp_path / "one/librispeech_cuts_test-other.jsonl.gz").exists()
    (corpus / "test-other").rename(tmp_path / "test-other")
    prepare_librispeech(corpus, tmp_path / "one")
    assert not (tmp_path / "one/librispeech_cuts_test-other.jsonl.gz").exists()
    for wrong in ("train-clean-360", "dev-clean"):
        with pytest.raises(UserError, match=f"no training subset '{wrong}'.*there is train-clean-100, train-other-500"):
            prepare_librispeech(corpus, tmp_path / "one", train_subsets=[wrong])


def test_mini(corpus: Path, tmp_path: Path) -> None:
    write_chapter(corpus, "train-clean-5", "14")
    write_chapter(corpus, "dev-clean-2", "84")
    assert prepare_librispeech(corpus, tmp_path / "all").counts["train utterances"] == 4
    for subset in READ:
        (corpus / subset).rename(tmp_path / subset)
    result = prepare_librispeech(corpus, tmp_path / "mini")
    assert (result.counts["train utterances"], result.counts["dev utterances"]) == (2, 1)
    assert cuts(tmp_path / "mini", "dev")[0].supervisions[0].custom["subset"] == "dev-clean-2"


def test_synthetic(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "SYNTHETIC").touch()
    assert not any("differ" in note for note in prepare_librispeech(corpus, tmp_path / "out").notes)
    assert cuts(tmp_path / "out", "dev")[0].supervisions[0].custom["corpus"] == "librispeech-synthetic"


def test_problems(corpus: Path, tmp_path: Path) -> None:
    train = corpus / "train-clean-100"
    flac = train / "14/7/14-7-0000.flac"
    flac.write_bytes(flac.read_bytes()[:-2000])
    (train / "14/7/._14-7.trans.txt").write_bytes(b"\0\1")
    (train / "60/7/60-7-0001.flac").unlink()
    with open(train / "60/7/60-7.trans.txt", "ab") as stream:
        stream.write(b"60-7-0002\n61-7-0003 ANOTHER'S\n60-7-0000 AGAIN\n60-7-0004 CAF\xc9\n\n")
    (train / "14/7/14-7-0009.flac").write_bytes((train / "60/7/60-7-0000.flac").read_bytes())
    (write_chapter(corpus, "dev-clean", "84", "8") / "84-8.trans.txt").unlink()
    write_chapter(corpus, "dev-clean", "14", "9")
    soundfile.write(corpus / "test-other/367/7/367-7-0000.flac", np.zeros(8000, np.int16), 8000)
    write_chapter(corpus, "test-other", "367", "8")
    with open(corpus / "SPEAKERS.TXT", "a") as stream:
        stream.write("99 | X | train-clean-100 | 3 | ?\n")
    with pytest.raises(UserError, match="11 problems"):
        prepare_librispeech(corpus, tmp_path / "out")
    report = (tmp_path / "out/problems.txt").read_text()
    for line in (
        "14-7-0000.flac: truncated audio",
        "60-7-0001.flac: missing audio",
        "60-7.trans.txt:3: missing transcript: 60-7-0002 has no words",
        "60-7.trans.txt:4: line does not parse",
        "60-7.trans.txt:5: duplicate",
        "60-7.trans.txt:6: line does not parse",
        "14-7-0009.flac: audio without transcript",
        "84-8.trans.txt: missing transcripts",
        "dev-clean/14/9: speaker in another subset: SPEAKERS.TXT has speaker 14 in train-clean-100",
        "367-7-0000.flac: wrong sampling rate",
        "SPEAKERS.TXT:6: line does not parse",
        "counts differ: minutes of 2 speakers of train-clean-100 (found, in SPEAKERS.TXT): 14 (0.05, 0.10), 60 (",
    ):
        assert line in report, line
    result = prepare_librispeech(corpus, tmp_path / "out", skip_bad=True)
    assert (result.counts["train utterances"], result.counts["test-other utterances"]) == (2, 1)


def test_other_characters(corpus: Path, tmp_path: Path) -> None:
    (corpus / "dev-clean/84/7/84-7.trans.txt").write_text("84-7-0000 ROOM 101, PLEASE\n")
    assert "1 transcripts hold other characters than letters and apostrophes" in (
        prepare_librispeech(corpus, tmp_path / "out").notes
    )


def test_without_speaker_list(corpus: Path, tmp_path: Path) -> None:
    (corpus / "SPEAKERS.TXT").unlink()
    assert any(
        "the gender of the speakers is unknown" in n for n in prepare_librispeech(corpus, tmp_path / "out").notes
    )
    assert cuts(tmp_path / "out", "dev")[0].supervisions[0].gender is None


def test_duplicate_in_two_subsets(corpus: Path, tmp_path: Path) -> None:
    write_chapter(corpus, "train-clean-360", "14")
    with pytest.raises(UserError, match="2 x duplicate"):
        prepare_librispeech(corpus, tmp_path / "out")


def test_wrong_folder(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no corpus in .*LibriSpeech/\{train-clean-100"):
        prepare_librispeech(corpus / "dev-clean", tmp_path / "out")
    (tmp_path / "mine/training-corpus").mkdir(parents=True)
    with pytest.raises(UserError, match="no subset of LibriSpeech"):
        prepare_librispeech(tmp_path / "mine", tmp_path / "out")


def test_published_counts() -> None:
    """The sums over all subsets: 292 367 utterances, 2484 speakers, 982 hours (paper: 2484 speakers)."""
    assert sum(UTTERANCES.values()) == 292367
    assert sum(READERS.values()) == 2484
    assert sum(HOURS.values()) == pytest.approx(982.3)


def test_a_speaker_in_two_parts(corpus: Path, tmp_path: Path) -> None:
    """Found without SPEAKERS.TXT, too, and whatever chapter it is."""
    (corpus / "SPEAKERS.TXT").unlink()
    write_chapter(corpus, "train-clean-100", "84", chapter="8")
    with pytest.raises(UserError, match="speaker in two parts: speaker 84 is in dev, too"):
        prepare_librispeech(corpus, tmp_path / "out")
    result = prepare_librispeech(corpus, tmp_path / "out", skip_bad=True)
    assert (result.counts["train utterances"], result.counts["dev utterances"]) == (4, 1)


def test_audio_in_two_parts(corpus: Path, tmp_path: Path) -> None:
    shutil.copy(corpus / "dev-clean/84/7/84-7-0000.flac", corpus / "train-clean-100/14/7/14-7-0001.flac")
    with pytest.raises(UserError, match=r"14-7-0001.flac: audio in two parts: it is the audio of 84-7-0000 in dev"):
        prepare_librispeech(corpus, tmp_path / "out")
