"""RAVDESS: the real corpus, and what can be wrong with a copy of it."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, RecordingSet, SupervisionSet

from sertools.corpora.ravdess import expected_names, prepare_ravdess
from sertools.errors import UserError

CUTS = "ravdess_cuts_all.jsonl.gz"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two actors; file 0 of the first in stereo, all at 48 kHz."""
    root = tmp_path / "corpus"
    for actor in (1, 2):
        folder = root / "Audio_Speech_Actors_01-24" / f"Actor_{actor:02d}"
        folder.mkdir(parents=True)
        for n, name in enumerate(expected_names(actor)):
            samples = np.full((480, 2 if n == 0 and actor == 1 else 1), 100, np.int16)
            soundfile.write(folder / f"{name}.wav", samples, 48000)
    return root


@pytest.mark.shared
def test_real_corpus(shared: Path, tmp_path: Path) -> None:
    result = prepare_ravdess(shared / "data/ravdess", tmp_path)
    assert result.counts["all utterances"] == 1440
    assert result.counts["problems"] == 0
    assert result.notes == ()
    assert result.counts["all seconds"] / 60 == pytest.approx(88.8, abs=0.05)
    cuts = CutSet.from_file(tmp_path / CUTS).to_eager()
    supervisions = [cut.supervisions[0] for cut in cuts]
    assert [cut.id for cut in cuts] == sorted(segment.id for segment in supervisions)
    assert set(Counter(segment.speaker for segment in supervisions).values()) == {60}
    assert set(Counter(segment.custom["session"] for segment in supervisions).values()) == {240}
    emotions = Counter(segment.custom["emotion"] for segment in supervisions)
    assert emotions.pop("neutral") == 96
    assert len(emotions) == 7
    assert set(emotions.values()) == {192}
    cut = cuts["03-01-06-02-02-01-23"]
    assert cut.load_audio().shape == (1, cut.num_samples)
    segment = cut.supervisions[0]
    assert (segment.speaker, segment.gender, segment.text) == ("Actor_23", "male", "dogs are sitting by the door")
    assert segment.custom == {
        "emotion": "fearful", "session": "actors21-24", "improvised": False, "intensity": "strong",
        "sentence": 2, "repetition": 1, "corpus": "ravdess",
    }  # fmt: skip
    assert prepare_ravdess(shared / "data/ravdess", tmp_path).why is None


def test_original_format(corpus: Path, tmp_path: Path) -> None:
    result = prepare_ravdess(corpus, tmp_path / "out", skip_bad=True)
    assert result.counts["all utterances"] == 120
    assert result.counts["problems"] == 22  # the actors that are missing
    assert "1 files have several channels, of which the first is used" in result.notes
    assert "120 files of 48000 Hz are resampled to 16000 Hz when they are read" in result.notes
    assert "counts differ: utterances, all: 120, published 1440" in result.notes
    for cut in CutSet.from_file(tmp_path / "out" / CUTS).subset(first=2):
        assert cut.sampling_rate == 16000
        assert cut.load_audio().shape == (1, 160)
    assert all(Path(r.sources[0].source).is_absolute() for r in RecordingSet.from_file(
        tmp_path / "out/ravdess_recordings_all.jsonl.gz"))  # fmt: skip


def test_problems_stop_and_are_reported(corpus: Path, tmp_path: Path) -> None:
    folder = corpus / "Audio_Speech_Actors_01-24/Actor_02"
    names = expected_names(2)
    (folder / f"{names[0]}.wav").unlink()
    content = (folder / f"{names[1]}.wav").read_bytes()
    (folder / f"{names[1]}.wav").write_bytes(content[:-100])
    (folder / "03-02-01-01-01-01-02.wav").touch()  # a song
    (folder / "03-01-09-01-01-01-02.wav").touch()  # no such emotion
    (folder / "hello.wav").touch()
    (folder / f"._{names[2]}.wav").touch()
    with pytest.raises(UserError, match=r"(?s)1 x truncated audio.*and 16 more.*problems.txt.*--skip-bad"):
        prepare_ravdess(corpus, tmp_path / "out")
    assert "unfinished" in (tmp_path / "out/stamp.json").read_text()
    report = (tmp_path / "out/problems.txt").read_text()
    assert f"{names[0]}.wav: missing audio" in report
    assert f"{names[1]}.wav: truncated audio: the header claims 100 bytes more" in report
    assert "03-01-09-01-01-01-02.wav: bad file name" in report
    assert "hello.wav: bad file name" in report
    assert "ignored 1 songs" in report
    result = prepare_ravdess(corpus, tmp_path / "out", skip_bad=True)
    assert result.counts["all utterances"] == 118
    assert result.counts["problems"] == 22 + 4
    ids = {segment.id for segment in SupervisionSet.from_file(tmp_path / "out/ravdess_supervisions_all.jsonl.gz")}
    assert ids == {*expected_names(1), *names[2:]}


def test_changed_corpus_is_prepared_again(corpus: Path, tmp_path: Path) -> None:
    assert prepare_ravdess(corpus, tmp_path / "out", skip_bad=True).why == "not made yet, or not finished"
    assert prepare_ravdess(corpus, tmp_path / "out", skip_bad=True).why is None
    next((corpus / "Audio_Speech_Actors_01-24/Actor_01").iterdir()).unlink()
    assert prepare_ravdess(corpus, tmp_path / "out", skip_bad=True).why == "input corpus changed"


def test_wrong_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"looked for .*Actor_\[0-2\]\[0-9\].*expected the layout Actor_01/"):
        prepare_ravdess(tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match="is not a folder"):
        prepare_ravdess(tmp_path / "none", tmp_path / "out")


def test_an_actor_too_many_is_named_and_left_out(corpus: Path, tmp_path: Path) -> None:
    known = next(corpus.rglob("*-01.wav"), None) or next(corpus.rglob("03-*"))
    extra = known.parents[1] / "Actor_25"
    extra.mkdir()
    (extra / f"{known.stem[:-2]}25{known.suffix}").write_bytes(known.read_bytes())
    with pytest.raises(UserError, match="1 x unknown folder"):
        prepare_ravdess(corpus, tmp_path / "out")
    report = (tmp_path / "out/problems.txt").read_text()
    assert "Actor_25: unknown folder: RAVDESS has 24 actors" in report
    prepare_ravdess(corpus, tmp_path / "out", skip_bad=True)
    found = SupervisionSet.from_file(tmp_path / "out/ravdess_supervisions_all.jsonl.gz")
    assert "Actor_25" not in {segment.speaker for segment in found}
