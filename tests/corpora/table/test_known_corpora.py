"""egs/own/conf/corpora: each on a few clips in the corpus's own layout."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from sertools.config import load_config
from sertools.corpora.table.config import TableConfig
from sertools.corpora.table.corpus import find

CONF = Path(__file__).parents[3] / "egs/own/conf/corpora"
CASES = {
    "emodb": (["wav/03a01Fa.wav", "wav/16b10Wb.wav"], {("03", "happiness"), ("16", "anger")}),
    "tess": (
        [
            "OAF_angry/OAF_back_angry.wav",
            "YAF_pleasant_surprised/YAF_bar_ps.wav",
            "OAF_neutral/OA_bite_neutral.wav",
            "OAF_Fear/OAF_youth_fear.wav",
            "OAF_Pleasant_surprise/OAF_back_ps.wav",
            "YAF_back_sad.wav",
        ],
        {("OA", "anger"), ("YA", "surprise"), ("OA", "neutral"), ("OA", "fear"), ("OA", "surprise"), ("YA", "sadness")},
    ),
    "savee": (
        ["DC/sa05.wav", "KL/a01.wav", "ALL/JE_su15.wav", "ALL/JK_n30.wav"],
        {("DC", "sadness"), ("KL", "anger"), ("JE", "surprise"), ("JK", "neutral")},
    ),
    "emovo": (["f1/dis-f1-b1.wav", "m3/gio-m3-n5.wav"], {("f1", "disgust"), ("m3", "joy")}),
    "esd": (
        [
            "0011/Angry/evaluation/0011_000351.wav",
            "0020/Surprise/0020_001401.wav",
            "0001/Sad/0001_001051.wav",
            "Emotion Speech Dataset/0012/Happy/train/0012_000721.wav",
        ],
        {("0011", "anger"), ("0020", "surprise"), ("0012", "happiness")},
    ),
}


def make(folder: Path, names: list[str]) -> None:
    generator = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, generator.normal(0, 0.1, 1600), 16000)


@pytest.mark.parametrize("corpus", CASES)
def test_names_of_files_say_it(corpus: str, tmp_path: Path) -> None:
    names, wanted = CASES[corpus]
    make(tmp_path, [*names, "unrelated.wav"])
    found = find(None, tmp_path, load_config(TableConfig, CONF / f"{corpus}.yaml"))
    assert not found.problems
    assert {(one.speaker, one.custom["emotion"]) for one in found.splits["all"][1]} == wanted
    assert any("do not match the pattern" in note for note in found.notes)


def test_meld(tmp_path: Path) -> None:
    make(tmp_path, ["train/dia0_utt0.wav", "test/dia0_utt0.wav"])
    table = tmp_path / "meld.csv"
    table.write_text(
        "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,split\n"
        '1,"Oh, no!",Chandler,Anger,negative,0,0,train\n'
        "1,Why?,Joey,neutral,neutral,0,0,test\n"
    )
    found = find(table, tmp_path, load_config(TableConfig, CONF / "meld.yaml"))
    assert not found.problems
    assert [(one.id, one.speaker, one.text, one.custom["emotion"], one.custom["split"])
            for one in found.splits["all"][1]] == [
        ("train-dia0_utt0", "Chandler", "Oh, no!", "anger", "train"),
        ("test-dia0_utt0", "Joey", "Why?", "neutral", "test"),
    ]  # fmt: skip


def test_every_file_is_tested() -> None:
    assert {path.stem for path in CONF.glob("*.yaml")} == {*CASES, "meld"}
