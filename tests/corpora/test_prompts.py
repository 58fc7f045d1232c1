"""The Asterisk prompts: transcripts, decoding, splits, what is left out."""

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet

from sertools.corpora.prompts import prepare_prompts
from sertools.corpora.prompts_text import read_transcripts, to_words
from sertools.errors import UserError

needs_av = pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="av is not installed")


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Press 1 to listen, or # to exit...", "en", "press one to listen or pound to exit"),
        ('Re-enter "it", O\'CLOCK, don’t!', "en", "re enter it o'clock don't"),
        ("A.M.", "en", "a m"),
        ("dash [-]", "en", "dash"),
        ("3D audio", "en", "three d audio"),
        ("Pour l'écouter, appuyez sur *", "fr", "pour l'écouter appuyez sur étoile"),
        ("Нажмите 10, ещё раз.", "ru", "нажмите десять ещё раз"),
        ("C’e\u0301", "it", "c'é"),
    ],
)
def test_words(text: str, language: str, expected: str) -> None:
    assert to_words(text, language) == (expected, None)


@pytest.mark.parametrize(
    ("text", "language", "reason"),
    [
        ("[ascending tones]", "en", "no speech (tones, silence)"),
        ("<beep> (beep)", "en", "no speech (tones, silence)"),
        ('IAX (note: does not say "2")', "en", "remark in brackets"),
        ("dial 500", "en", "number that can be read in several ways"),
        ("a 28.8 modem", "en", "number that can be read in several ways"),
        ("visit www.x.org", "en", "web address"),
        ("сервер IAX", "ru", "character of another alphabet"),
        ("50 %", "en", "number that can be read in several ways"),
        ("a % b", "en", "unknown sign"),
        ("...", "en", "no words"),
    ],
)
def test_what_is_not_certain_is_left_out(text: str, language: str, reason: str) -> None:
    assert to_words(text, language) == ("", reason)


def corpus(root: Path, number: int = 40) -> Path:
    """Noise of half a second and longer as G.722, with transcripts in English and Spanish."""
    generator = np.random.default_rng(0)
    for language, voice in (("en", "en_US_f_Allison"), ("es", "es_MX_f_Allison")):
        sounds = root / "usr/share/asterisk/sounds" / voice
        documents = root / f"usr/share/doc/asterisk-core-sounds-{language}"
        (sounds / "digits").mkdir(parents=True)
        documents.mkdir(parents=True)
        lines = ["; a comment", "", "beep: [tone]", "digits/1M: one", "nowhere: no audio", "twice: a", "twice: b"]
        lines += [f"p{n}: word{'abcdefgh'[n % 8]}." for n in range(number)] + ["long: a long one", "none:"]
        for name in ["beep", "digits/1m", "silent", "twice", *(f"p{n}" for n in range(number))]:
            size = int(generator.integers(4000, 8000))
            (sounds / f"{name}.g722").write_bytes(generator.bytes(size))
        (sounds / "long.g722").write_bytes(generator.bytes(15 * 8000 + 1))
        (sounds / "none.g722").write_bytes(b"")
        with gzip.open(documents / f"core-sounds-{language}.txt.gz", "wt", encoding="utf-8-sig") as stream:
            stream.write("\n".join(lines))
    return root


@needs_av
def test_prepare(tmp_path: Path) -> None:
    root, out = corpus(tmp_path / "corpus"), tmp_path / "out"
    result = prepare_prompts(root, out)
    # 40 and digits/1m are usable: 15 % of 41 for test, a tenth of the rest for dev
    assert {name: count for name, count in result.counts.items() if "utterances" in name} == {
        "en_test utterances": 6, "en_dev utterances": 4, "en_train utterances": 31, "en_long utterances": 1,
        "es_dev utterances": 4, "es_train utterances": 37, "es_long utterances": 1,
        "all_test utterances": 6, "all_dev utterances": 8, "all_train utterances": 68, "all_long utterances": 2,
    }  # fmt: skip
    for note in (
        "en: left out 1 x no speech (tones, silence)",
        "en: left out 1 x audio without a transcript",
        "en: left out 1 x several transcripts or files of one name",
        "en: left out 2 x transcript without audio",
        "fr: no audio; the package asterisk-core-sounds-fr-g722 is not there",
    ):
        assert note in result.notes
    assert any(note.startswith("en_test: 6 words") for note in result.notes)
    splits = [CutSet.from_file(out / f"prompts_cuts_en_{split}.jsonl.gz") for split in ("train", "dev", "test", "long")]
    prompts = [cut.supervisions[0].custom["prompt"] for cuts in splits for cut in cuts]
    assert len(prompts) == len(set(prompts)) == 42
    cut = next(cut for cuts in splits for cut in cuts if cut.supervisions[0].custom["prompt"] == "digits/1m")
    assert cut.id == "prompts-en-digits-1m"
    (supervision,) = cut.supervisions
    assert (supervision.text, supervision.language, supervision.speaker) == ("one", "English", "en_US_f_Allison")
    size = (root / "usr/share/asterisk/sounds/en_US_f_Allison/digits/1m.g722").stat().st_size
    assert cut.load_audio().shape == (1, 2 * size)
    assert cut.sampling_rate == 16000


@needs_av
def test_audio_that_was_lost_is_decoded_again(tmp_path: Path) -> None:
    root, out = corpus(tmp_path / "corpus", 8), tmp_path / "out"
    assert prepare_prompts(root, out).why is not None
    path = out / "audio/en/p1.flac"
    before = path.read_bytes()
    soundfile.write(path, np.zeros(10), 16000)
    (out / "audio/es/p2.flac").unlink()
    assert prepare_prompts(root, out).why is None
    assert path.read_bytes() == before
    assert (out / "audio/es/p2.flac").exists()


@needs_av
def test_decoded_tone_is_a_tone(tmp_path: Path) -> None:
    """A sine coded by another G.722 encoder (FFmpeg's) comes back."""
    import av

    root = corpus(tmp_path / "corpus", 8)
    wave = (8000 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)).astype(np.int16)
    path = root / "usr/share/asterisk/sounds/en_US_f_Allison/p0.g722"
    with av.open(str(path), "w", format="g722") as container:
        stream = container.add_stream("g722", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        frame.sample_rate = 16000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    prepare_prompts(root, tmp_path / "out")
    decoded, rate = soundfile.read(tmp_path / "out/audio/en/p0.flac", dtype="float64")
    assert rate == 16000
    spectrum = np.abs(np.fft.rfft(decoded[2000:14000]))
    assert np.argmax(spectrum) * rate / 12000 == pytest.approx(440, abs=2)
    assert decoded[2000:14000].std() * 32768 == pytest.approx(8000 / np.sqrt(2), rel=0.05)


def test_no_corpus_and_bad_transcripts_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no corpus in"):
        prepare_prompts(tmp_path, tmp_path / "out")
    with gzip.open(tmp_path / "x.txt.gz", "wt") as stream:
        stream.write("; comment\nno colon here\n")
    with pytest.raises(UserError, match=r"x.txt.gz:2: expected 'name: text'"):
        read_transcripts(tmp_path / "x.txt.gz")
