"""Texts that cannot be what was said."""

from pathlib import Path

import pytest
from lhotse import AudioSource, Recording, SupervisionSegment, SupervisionSet

from sertools.corpora import manifests
from sertools.corpora.found import Found
from sertools.corpora.manifests import prepare
from sertools.corpora.spoken import SHORT_TEXT, count_characters, too_much
from sertools.errors import UserError
from sertools.provenance import Stamp

PROMPTS = "please enter your password then press pound or hang up " * 3
SAID = {
    "prompts run together": (PROMPTS, len(PROMPTS) / 32),
    "fast speech": ("we'll stop in a couple of minutes and talk of it", 1.8),
    "short": ("no i do not", 0.3),
    "laughter": ("[LAUGHTER] [BREATHING] [LAUGHTER] [BREATHING] oh", 0.9),
    "nothing": (None, 1.0),
    "a tone": ("a beep", 8.0),
}


def found() -> Found:
    recordings, supervisions = [], []
    for name, (text, seconds) in SAID.items():
        samples = round(16000 * seconds)
        source = AudioSource("file", [0], f"/corpus/{name}.wav")
        recordings.append(Recording(name, [source], 16000, samples, samples / 16000))
        supervisions.append(SupervisionSegment(name, name, 0.0, samples / 16000, text=text, speaker="s"))
    # an utterance may be in several splits
    return Found({"all": (recordings, supervisions), "en": (recordings[:2], supervisions[:2])})


def test_they_are_named_and_left_out_by_option_alone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"1 problem \(1 x text does not fit\)") as error:
        prepare("c", found, tmp_path, Stamp(), skip_bad=False)
    assert "/corpus/prompts run together.wav: text does not fit: prompts run together: 164 characters in" in str(
        error.value
    )
    assert "are 32 a second" in str(error.value)
    result = prepare("c", found, tmp_path, Stamp(), skip_bad=True)
    assert (result.counts["all utterances"], result.counts["en utterances"], result.counts["problems"]) == (5, 1, 1)
    kept = SupervisionSet.from_file(tmp_path / "c_supervisions_all.jsonl.gz")
    assert {segment.id for segment in kept} == SAID.keys() - {"prompts run together"}
    (note,) = result.notes
    assert note.startswith("1 texts have under 2 characters a second")
    assert note.endswith("a tone")


def test_a_corpus_of_before_the_check_is_prepared_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "CHECKS", 0)
    prepare("c", found, tmp_path, Stamp(), skip_bad=True)
    monkeypatch.undo()
    assert "checks" in (prepare("c", found, tmp_path, Stamp(), skip_bad=True).why or "")
    assert prepare("c", found, tmp_path, Stamp(), skip_bad=True).why is None


def test_the_fastest_real_speech_passes() -> None:
    # nEMO, 1.95 s; CREMA-D, 1.37 s
    assert not too_much(51, 1.95)
    assert not too_much(33, 1.37)
    assert not too_much(SHORT_TEXT, 0.1)
    assert too_much(SHORT_TEXT + 1, 1.3)
    assert count_characters(" [NOISE] it's   <unk> [COUGH] test ") == len("it's test")
