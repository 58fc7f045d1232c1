import gzip
import re

import pytest
import soundfile

from sertools.corpora.demo.iemocap import DemoIemocap, make_demo_iemocap
from sertools.corpora.demo.prosody import Delivery, Speaker, draw_delivery, generator, speak
from sertools.corpora.demo.talks import plan_talks
from sertools.corpora.demo.tedlium2 import RELEASE, DemoTedlium2, make_demo_tedlium2
from sertools.errors import UserError

CONFIG = DemoTedlium2(train_talks=4, dev_talks=1, test_talks=1, sentences=20, lm_sentences=50)
TINY = DemoTedlium2(train_talks=1, dev_talks=1, test_talks=1, sentences=2, lm_sentences=10)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("tedlium2")
    make_demo_tedlium2(CONFIG, out, jobs=1)
    return out / RELEASE


@pytest.fixture(scope="module")
def dictionary_lines(corpus):
    return (corpus / "TEDLIUM.152k.dic").read_text().splitlines()


def stm_lines(corpus, part="*"):
    return [line for p in sorted(corpus.glob(f"{part}/stm/*.stm")) for line in p.read_text().splitlines()]


def test_layout(corpus):
    for part, count in (("train", 4), ("dev", 1), ("test", 1)):
        sph, stm = ({p.stem for p in (corpus / part / kind).iterdir()} for kind in ("sph", "stm"))
        assert sph == stm
        assert len(sph) == count
    for path in corpus.glob("*/sph/*.sph"):
        info = soundfile.info(path)
        assert (info.format, info.subtype, info.samplerate, info.channels) == ("NIST", "PCM_16", 16000, 1)
    assert (corpus.parent / "SYNTHETIC").exists()


def test_times(corpus):
    for path in corpus.glob("*/stm/*.stm"):
        duration = soundfile.info(corpus / path.parts[-3] / "sph" / f"{path.stem}.sph").duration
        before = 0.0
        for line in path.read_text().splitlines():
            if not line.startswith(";;"):
                start, end = map(float, line.split()[3:5])
                assert before <= start < end <= duration
                before = end


def test_stm_oddities(corpus):
    lines = stm_lines(corpus)
    text = "\n".join(lines)
    assert any(line.startswith(";;") for line in lines)
    fields = [line.split(" ", 6) for line in lines if not line.startswith(";;")]
    assert {f[5] for f in fields} == {"<o,f0,male>", "<o,f0,female>", "<F0_F>", "<o,,unknown>", "<NA>"}
    assert any(f[2] not in (f[0], "inter_segment_gap") for f in fields), (
        "no talk with another name in the speaker field"
    )
    gaps = [f for f in fields if f[2] == "inter_segment_gap"]
    assert gaps
    assert {f[6] for f in gaps} == {"ignore_time_segment_in_scoring"}
    assert re.search(r"\{(NOISE|COUGH|BREATH|SMACK)\}", text)
    assert "<unk>" in text
    assert re.search(r"\w\(\d\)", text)
    assert re.search(r"\w '\w", text)
    assert not re.search(r"\w'\w", text)


def test_dictionary(dictionary_lines):
    assert sum("ERROR./text2pho.sh" in line for line in dictionary_lines) == 1
    words = [re.split(r"[ \t]", line)[0] for line in dictionary_lines]
    assert {"<s>", "</s>", "<unk>", "[NOISE]", "[COUGH]", "[BREATH]", "[SMACK]", "the(2)"} <= set(words)
    assert len(words) == len(set(words))
    assert any("\t" in line for line in dictionary_lines)
    assert any(" " in line and "\t" not in line for line in dictionary_lines)
    phones = {p for line in dictionary_lines[9:] if "ERROR" not in line for p in re.split(r"[ \t]", line)[1:]}
    assert len(phones) == 39


def test_every_word_is_in_the_dictionary(corpus, dictionary_lines):
    known = {re.split(r"[ \t]", line)[0] for line in dictionary_lines}
    for line in stm_lines(corpus):
        if line.startswith(";;") or "ignore_time_segment" in line:
            continue
        for word in line.split(" ", 6)[6].replace(" '", "'").translate(str.maketrans("{}", "[]")).split():
            assert word in known  # with its number, if it has one


def test_language_model_text(corpus):
    lines = []
    for path in sorted((corpus / "LM").iterdir()):
        assert path.name.endswith(".en.gz")
        lines += gzip.decompress(path.read_bytes()).decode().splitlines()
    assert len(lines) == 50
    assert all(line.endswith(" </s>") for line in lines)


def test_same_bytes_in_any_process_and_number_of_jobs(tmp_path):
    make_demo_tedlium2(TINY, tmp_path / "one", jobs=1)
    make_demo_tedlium2(TINY, tmp_path / "two", jobs=2)
    one, two = (
        {str(p.relative_to(d)): p.read_bytes() for p in d.rglob("*") if p.is_file() and p.name != ".lock"}
        for d in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two
    assert make_demo_tedlium2(TINY, tmp_path / "two").why is None
    with pytest.raises(UserError, match="give each its own folder"):
        make_demo_iemocap(DemoIemocap(improvised=1, turns=4), tmp_path / "two")


def test_voices_of_dev_and_test_are_not_in_train():
    talks = plan_talks(0, {"train": 30, "dev": 4, "test": 4}, 2)
    voices = {part: {talk.speaker.variant for talk in talks if talk.part == part} for part in ("train", "dev", "test")}
    assert not voices["train"] & (voices["dev"] | voices["test"])
    assert not voices["dev"] & voices["test"]
    assert len({talk.name for talk in talks}) == len(talks)


def test_sad_is_softer_slower_and_duller_than_angry():
    def mean(emotion):
        rng = generator(0, emotion)
        drawn = [draw_delivery(emotion, 1.0, 0.5, rng) for _ in range(300)]
        return [sum(getattr(d, name) for d in drawn) / 300 for name in ("gain", "rate", "effort", "pitch")]

    assert all(sad < angry for sad, angry in zip(mean("sad"), mean("ang"), strict=True))


def test_delivery_is_heard():
    plain = speak("hello there my friend", Speaker("f1"), Delivery())
    fast = speak("hello there my friend", Speaker("f1"), Delivery(rate=0.5))
    loud = speak("hello there my friend", Speaker("f1"), Delivery(gain=6))
    assert len(fast) < 0.85 * len(plain)
    assert (loud**2).mean() / (plain**2).mean() == pytest.approx(10**0.6, rel=1e-6)
