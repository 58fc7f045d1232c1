"""The synthetic LibriSpeech: layout, lists, lexicon, and what the preparation makes of it."""

import re
from pathlib import Path

import pytest
import soundfile

from sertools.corpora.demo.librispeech import LEXICON, RELEASE, DemoLibrispeech, make_demo_librispeech
from sertools.corpora.librispeech import prepare_librispeech
from sertools.lang.dictionary import read_dictionary

SMALL = DemoLibrispeech(train_clean=2, train_other=1, dev_clean=1, test_clean=1, test_other=0, sentences=6)
TINY = DemoLibrispeech(train_clean=1, train_other=0, dev_clean=1, dev_other=0, test_clean=1, test_other=0, sentences=4)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("librispeech")
    make_demo_librispeech(SMALL, out, jobs=1)
    return out / RELEASE


def rows(path: Path) -> list[list[str]]:
    return [
        [field.strip() for field in line.split("|")]
        for line in path.read_text().splitlines()
        if not line.startswith(";")
    ]


def test_layout(corpus: Path) -> None:
    subsets = {path.name for path in corpus.iterdir() if path.is_dir()}
    assert subsets == {"train-clean-100", "train-other-500", "dev-clean", "dev-other", "test-clean"}
    assert (corpus.parent / "SYNTHETIC").exists()
    transcripts = sorted(corpus.glob("*/*/*/*.trans.txt"))
    assert len(transcripts) == 2 * 6
    for path in transcripts:
        speaker, chapter = path.parent.parent.name, path.parent.name
        assert path.name == f"{speaker}-{chapter}.trans.txt"
        names = []
        for line in path.read_text().splitlines():
            assert re.fullmatch(r"[0-9]+-[0-9]+-[0-9]{4}( [A-Z']+)+", line), line
            names.append(line.split()[0])
        assert names == [f"{speaker}-{chapter}-{i:04d}" for i in range(len(names))]
        assert sorted(path.stem for path in path.parent.glob("*.flac")) == names
    info = soundfile.info(next(corpus.glob("*/*/*/*.flac")))
    assert (info.format, info.subtype, info.samplerate, info.channels) == ("FLAC", "PCM_16", 16000, 1)


def test_lists(corpus: Path) -> None:
    speakers = [row[:4] for row in rows(corpus / "SPEAKERS.TXT")]
    folders = {(path.name, path.parent.name) for path in corpus.glob("*/*") if path.is_dir()}
    assert {(row[0], row[2]) for row in speakers} == folders
    assert any(len(row) > 5 for row in rows(corpus / "SPEAKERS.TXT")), "no name with the separator in it"
    chapters = rows(corpus / "CHAPTERS.TXT")
    assert {(row[0], row[1], row[3]) for row in chapters} == {
        (path.name, path.parent.name, path.parent.parent.name) for path in corpus.glob("*/*/*") if path.is_dir()
    }
    for speaker, _, _, minutes in speakers:
        seconds = sum(soundfile.info(path).duration for path in corpus.glob(f"*/{speaker}/*/*.flac"))
        assert float(minutes) == pytest.approx(seconds / 60, abs=0.006)


def test_lexicon(corpus: Path) -> None:
    lines = (corpus / LEXICON).read_text().splitlines()
    assert "THE\tDH AH1" in lines
    assert len({phone for line in lines for phone in line.split()[1:] if phone[-1].isdigit()}) > 20
    dictionary = read_dictionary(corpus / LEXICON, drop_stress=True)
    assert {phones for phones, _ in dictionary["a"]} == {("AH",), ("EY",)}
    assert len({phone for variants in dictionary.values() for phones, _ in variants for phone in phones}) == 39
    assert "molecule" not in dictionary
    spoken = {
        word for path in corpus.glob("*/*/*/*.trans.txt") for line in path.read_text().splitlines()
        for word in line.lower().split()[1:]
    }  # fmt: skip
    assert spoken - {"molecule"} <= dictionary.keys()


def test_prepared(corpus: Path, tmp_path: Path) -> None:
    result = prepare_librispeech(corpus, tmp_path)
    assert result.counts["problems"] == 0
    assert not any("differ" in note for note in result.notes)
    assert {f"{split} utterances" for split in ("train", "dev", "test", "dev-other")} <= result.counts.keys()
    assert "test-other utterances" not in result.counts


def test_same_bytes_in_any_number_of_jobs(tmp_path: Path) -> None:
    make_demo_librispeech(TINY, tmp_path / "one", jobs=1)
    make_demo_librispeech(TINY, tmp_path / "two", jobs=2)
    one, two = (
        {str(p.relative_to(d)): p.read_bytes() for p in d.rglob("*") if p.is_file() and p.name != ".lock"}
        for d in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two
    assert make_demo_librispeech(TINY, tmp_path / "two").why is None


@pytest.mark.parametrize("wrong", [{"dev_clean": 0}, {"test_other": -1}, {"sentences": 3}, {"difficulty": 2}])
def test_wrong_settings(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must"):
        DemoLibrispeech(**wrong)  # type: ignore[arg-type]
