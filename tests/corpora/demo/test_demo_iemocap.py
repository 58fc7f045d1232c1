import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sertools.corpora.demo.iemocap import RELEASE, DemoIemocap, make_demo_iemocap
from sertools.corpora.demo.making import MARK
from sertools.errors import UserError

CONFIG = DemoIemocap(improvised=3, scripted=1, turns=4)
SMALL = DemoIemocap(improvised=1, scripted=0, turns=4)
SUMMARY = re.compile(r"\[(\d+\.\d{4}) - (\d+\.\d{4})\]\t(\S+)\t(\w{3})\t\[(\d\.\d{4}), (\d\.\d{4}), (\d\.\d{4})\]")
CODES = {
    "Anger": "ang", "Happiness": "hap", "Excited": "exc", "Sadness": "sad", "Neutral": "neu", "Frustration": "fru",
    "Surprise": "sur", "Fear": "fea", "Disgust": "dis", "Other": "oth",
}  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("iemocap")
    made = make_demo_iemocap(CONFIG, out, jobs=1)
    assert made.utterances == 5 * 2 * 4 * 4
    return out / RELEASE


@pytest.fixture(scope="module")
def blocks(corpus):
    """Turn name -> the lines of its block."""
    found = {}
    for path in sorted(corpus.glob("Session*/dialog/EmoEvaluation/Ses*.txt")):
        header, *rest = path.read_text(encoding="latin-1").split("\n\n")
        assert header == "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"
        for block in rest:
            lines = block.strip().split("\n")
            found[SUMMARY.fullmatch(lines[0]).group(3)] = lines
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def test_layout(corpus, blocks):
    wavs = {p.stem: p for p in corpus.glob("Session*/sentences/wav/*/*.wav")}
    assert set(wavs) == set(blocks)
    assert len(wavs) == 160
    for name, path in wavs.items():
        assert path.parent.name == name.rsplit("_", 1)[0]
        assert path.parents[3].name == f"Session{int(name[3:5])}"
    assert {(name[3:5], name.rsplit("_", 1)[1][0]) for name in wavs} == {
        (f"0{i}", x) for i in range(1, 6) for x in "FM"
    }
    dialogues = {p.parent.name for p in wavs.values()}
    assert {
        "Ses03M_impro05a",
        "Ses03M_impro05b",
        "Ses03M_impro08a",
        "Ses03M_impro08b",
        "Ses05M_script01_1b",
    } <= dialogues
    assert not any(name.startswith(("Ses01F_impro08", "Ses01M_impro08")) for name in dialogues)


def test_the_prefix_is_not_the_speaker(blocks):
    differ = sum(name[5] != name.rsplit("_", 1)[1][0] for name in blocks)
    assert 0.3 < differ / len(blocks) < 0.7


def test_audio_fits_the_times(corpus, blocks):
    for name, lines in blocks.items():
        start, end = (float(x) for x in SUMMARY.fullmatch(lines[0]).groups()[:2])
        info = soundfile.info(next(corpus.glob(f"Session*/sentences/wav/*/{name}.wav")))
        assert (info.samplerate, info.channels, info.subtype, info.format) == (16000, 1, "PCM_16", "WAV")
        assert abs(info.frames / 16000 - (end - start)) < 2e-4
    assert sum(float(m[2]) - float(m[1]) > 20 for m in (SUMMARY.fullmatch(b[0]) for b in blocks.values())) == 2


def test_audio_is_noisy_and_not_clipped(corpus):
    for path in sorted(corpus.glob("Session*/sentences/wav/*/*.wav"))[::7]:
        samples, _ = soundfile.read(path, dtype="int16")
        assert np.abs(samples[:400]).max() > 0
        assert (np.abs(samples.astype(int)) >= 32767).mean() < 0.001


def test_labels_are_the_majority_and_means(blocks):
    for lines in blocks.values():
        *_, label, v, a, d = SUMMARY.fullmatch(lines[0]).groups()
        votes = Counter()
        values = {"val": [], "act": [], "dom": []}
        for line in lines[1:]:
            who, rating, comment = line.split("\t")
            assert re.fullmatch(r"[CA]-(E[234]|[FM]1):", who)
            assert comment.startswith("(")
            if who[2] != "E":
                continue
            if who[0] == "C":
                votes.update(CODES[word.strip()] for word in rating.split(";")[:-1])
            else:
                for field in rating.split(";")[:-1]:
                    kind, _, value = field.strip().partition(" ")
                    if value.strip():
                        values[kind].append(int(value))
        (top, count), *others = votes.most_common(2)
        agreed = count >= 2 and not (others and others[0][1] == count)
        assert label == (top if agreed else "xxx")
        assert [float(v), float(a), float(d)] == [round(float(np.mean(values[k])), 4) for k in ("val", "act", "dom")]


def test_all_eleven_labels(blocks):
    labels = Counter(SUMMARY.fullmatch(lines[0]).group(4) for lines in blocks.values())
    assert set(labels) == set(CODES.values()) | {"xxx"}
    assert sum(labels[code] for code in ("ang", "exc", "neu", "sad")) > 0.5 * len(blocks)


def test_raters_oddities(blocks):
    text = "\n".join(line for lines in blocks.values() for line in lines[1:])
    assert re.search(r"^C-E\d:\t\w+; \w+;\t", text, re.M), "no rater with two labels"
    assert "(val)" in text
    assert re.search(r"^A-..:.*(val|act|dom ) ;", text, re.M), "no empty attribute"
    assert re.search(r"dom  \d;\t", text)


def test_files_that_must_not_be_read(corpus):
    for session in range(1, 6):
        folder = corpus / f"Session{session}" / "dialog" / "EmoEvaluation"
        for name in ("Attribute", "Categorical", "Self-evaluation"):
            assert list((folder / name).glob("Ses*.txt"))
        assert len(list(folder.glob("._*.txt"))) == 1


def test_transcriptions(corpus, blocks):
    raw = {p.stem: p.read_bytes() for p in corpus.glob("Session*/dialog/transcriptions/*.txt")}
    everything = b"".join(raw.values())
    assert any(b"\r\n" in text for text in raw.values())
    assert any(b"\r" not in text for text in raw.values())
    with pytest.raises(UnicodeDecodeError):
        everything.decode("utf-8")
    assert b"\nM: Yeah." in everything
    assert re.search(rb"^Ses03F_impro05_MXX0 \[\d{3}\.\d{4}-\d{3}\.\d{4}\]: \[LAUGHTER\]", raw["Ses03F_impro05"], re.M)
    lines = everything.decode("latin-1").replace("\r", "").split("\n")
    matches = [re.fullmatch(r"(\S+_[FM]\d{3}) \[(\d{3}\.\d{4})-(\d{3}\.\d{4})\]: (.+)", line) for line in lines]
    times = {m[1]: (float(m[2]), float(m[3])) for m in matches if m}
    assert times == {n: tuple(map(float, SUMMARY.fullmatch(b[0]).groups()[:2])) for n, b in blocks.items()}
    assert any(m and "[LAUGHTER]" in m[4] for m in matches)


def test_scripts_have_the_same_words_in_every_session(corpus):
    def words(session):
        text = (corpus / f"Session{session}/dialog/transcriptions/Ses0{session}F_script01_1.txt").read_text("latin-1")
        said = [line.split("]: ")[1] for line in text.splitlines() if "_F0" in line or "_M0" in line]
        return [re.sub(r"\[\w+\] ", "", line) for line in said]

    assert words(1) == words(4)


def test_same_bytes_in_any_process_and_number_of_jobs(tmp_path):
    make_demo_iemocap(SMALL, tmp_path / "one", jobs=1)
    make_demo_iemocap(SMALL, tmp_path / "two", jobs=2)
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert one == two
    assert len([name for name in one if name.endswith(".wav")]) == 40


def test_up_to_date_then_remade(tmp_path, monkeypatch):
    assert make_demo_iemocap(SMALL, tmp_path, jobs=1).why == "not made yet, or not finished"
    before = contents(tmp_path)
    assert "synthetic speech" in (tmp_path / MARK).read_text()
    assert make_demo_iemocap(SMALL, tmp_path, jobs=1).why is None

    # a run that dies leaves the old corpus whole
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("sertools.corpora.demo.iemocap.run_parts", fail)
    with pytest.raises(KeyboardInterrupt):
        make_demo_iemocap(replace(SMALL, seed=1), tmp_path, jobs=1)
    assert contents(tmp_path) == before
    monkeypatch.undo()

    assert make_demo_iemocap(replace(SMALL, seed=1), tmp_path, jobs=1).why == "seed: 0 -> 1"
    assert contents(tmp_path) != before
    (tmp_path / MARK).unlink()
    assert "is missing" in make_demo_iemocap(replace(SMALL, seed=1), tmp_path, jobs=1).why
    assert (tmp_path / MARK).exists()


def test_a_real_corpus_is_never_touched(tmp_path):
    wav = tmp_path / RELEASE / "Session1" / "Ses01F_impro01_F000.wav"
    wav.parent.mkdir(parents=True)
    wav.write_bytes(b"precious")
    with pytest.raises(UserError, match="may be the real corpus"):
        make_demo_iemocap(SMALL, tmp_path)
    assert wav.read_bytes() == b"precious"


@pytest.mark.parametrize("wrong", [{"turns": 1}, {"improvised": 8}, {"difficulty": 1.5}, {"seed": -1}])
def test_settings_out_of_range(wrong):
    with pytest.raises(ValueError, match="must"):
        DemoIemocap(**wrong)
