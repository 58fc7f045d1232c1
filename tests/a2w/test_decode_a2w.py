"""Decoding into a folder, the choice on dev, plots, rescoring of lattices."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lhotse import CutSet

from sertools.a2w.auxiliary import AuxiliarySources
from sertools.a2w.decoding import A2wDecodeConfig, decode_a2w
from sertools.a2w.rescoring import Candidate, RescoreConfig, _weights, rescore_a2w
from sertools.a2w.system import A2wConfig, A2wDataConfig
from sertools.a2w.training import train_a2w
from sertools.config import from_dict
from sertools.decoding.beam_search import BeamConfig
from sertools.decoding.lattice import Lattice, save_lattices
from sertools.decoding.transcripts import read_transcripts
from sertools.errors import UserError
from sertools.files import write_json
from sertools.lang.folder import load_lexicon
from sertools.models.a2w import A2wModelConfig
from sertools.training.loop import TrainingConfig

CONFIG = A2wConfig(
    model=A2wModelConfig(6, 2, 1, 24, 24, 16, 24, 4, 31, dropout=0.1),
    auxiliary="ctc_phones",
    guide="3,0",
    data=A2wDataConfig(batch_frames=700, sorted_epochs=1),
    training=TrainingConfig(epochs=16, learning_rate=1e-2, final_learning_rate=2e-3, select_by="dev_wer"),
    dev_search=BeamConfig(beam=1, max_tokens=10),
)
SEARCH = A2wDecodeConfig(max_tokens=12, length_powers=(1.0, 0.0), coverages=(0.0, 0.02), plots=2)


@pytest.fixture(scope="module")
def checkpoint(tiny_words: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exp")
    sources = AuxiliarySources(tiny_words.lang)
    return train_a2w(CONFIG, tiny_words.vocabulary, tiny_words.train, tiny_words.dev, out, sources=sources)


def test_decoding(tiny_words: Any, checkpoint: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    dev, test = tmp_path / "dev", tmp_path / "test"
    why = decode_a2w(checkpoint, tiny_words.dev, dev, SEARCH, progress=lambda *two: seen.append(two))
    assert why == "not made yet, or not finished"
    assert seen[-1] == (16, 16)
    wer = json.loads((dev / "wer.json").read_text())
    assert wer["wer"] < 40
    record = json.loads((dev / "search.json").read_text())
    assert record["chosen"] == "here"
    assert len(record["tried"]) == 3
    best = min(one["errors"] for one in record["tried"])
    assert best == wer["errors"]["insertions"] + wer["errors"]["deletions"] + wer["errors"]["substitutions"]
    found = {one.id: one for one in read_transcripts(dev / "transcripts.csv")}
    texts = {cut.id: cut.supervisions[0].text for cut in CutSet.from_file(tiny_words.dev)}
    assert {name: " ".join(one.reference) for name, one in found.items()} == texts
    assert found["dev001"].speaker == "s1"
    plots = sorted((dev / "attention").iterdir())
    assert len(plots) == 2
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in plots)
    assert decode_a2w(checkpoint, tiny_words.dev, dev, SEARCH) is None

    # what was chosen on dev is taken
    assert decode_a2w(checkpoint, tiny_words.train, test, SEARCH, search_dir=dev) is not None
    other = json.loads((test / "search.json").read_text())
    assert (other["length_power"], other["coverage"]) == (record["length_power"], record["coverage"])
    assert other["chosen"] == "elsewhere"
    assert other["tried"] == []
    with pytest.raises(UserError, match=r"search\.json does not exist; it is made by local/decode_a2w\.py on the dev"):
        decode_a2w(checkpoint, tiny_words.dev, tmp_path / "no", SEARCH, search_dir=tmp_path / "nowhere")


def test_no_id_leads_out_of_the_folder(tiny_words: Any, checkpoint: Path, tmp_path: Path) -> None:
    cuts = []
    for number, cut in enumerate(CutSet.from_file(tiny_words.dev)):
        cut.id = ["../../../up", f"{tmp_path}/absolute", "a/b", "x" * 300][number % 4] + str(number)
        cuts.append(cut)
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl.gz")
    out = tmp_path / "deep/er/out"
    config = dataclasses.replace(SEARCH, length_powers=(1.0,), coverages=(0.0,), plots=16)
    decode_a2w(checkpoint, tmp_path / "cuts.jsonl.gz", out, config)
    assert len(list((out / "attention").iterdir())) == 16
    assert set(tmp_path.rglob("*.png")) == set((out / "attention").glob("*.png"))


@pytest.mark.parametrize("name", ["model.safetensors", "vocabulary/vocabulary.json"])
def test_a_damaged_recogniser_is_not_used(tiny_words: Any, checkpoint: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(checkpoint.parent, tmp_path / "exp")
    copy = tmp_path / "exp" / checkpoint.name
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name} is damaged \(its checksum differs\); run local/train_a2w\.py again"):
        decode_a2w(copy, tiny_words.dev, tmp_path / "dev", SEARCH)


def test_hypotheses_that_do_not_end(
    tiny_words: Any, checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = dataclasses.replace(SEARCH, max_tokens=2, length_powers=(1.0,), coverages=(0.0,), plots=0)
    decode_a2w(checkpoint, tiny_words.dev, tmp_path, config)
    record = json.loads((tmp_path / "search.json").read_text())
    # two or three words and the end symbol are more than two tokens
    assert 0 < len(record["unfinished"]) < 16
    assert "did not end within 2 tokens" in caplog.text
    assert not list((tmp_path / "attention").iterdir())
    assert len(read_transcripts(tmp_path / "transcripts.csv")) == 16


def test_settings() -> None:
    for values, message in (
        ({"length_powers": []}, "length_powers"), ({"coverages": [-1]}, "coverages"), ({"beam": 0}, "beam"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            from_dict(A2wDecodeConfig, values)
    with pytest.raises(UserError, match="weights a list of numbers from 0 up"):
        from_dict(RescoreConfig, {"weights": []})


def lattice(words: list[list[int]], scores: list[float]) -> Lattice:
    """Word sequences side by side, each put out at once."""
    count = len(words)
    starts, ends = np.zeros(count), np.arange(1, count + 1)
    flat = [word for one in words for word in one]
    splits = np.concatenate([np.cumsum([0] + [len(one) for one in words]), np.full(count, len(flat))])
    return Lattice(
        sources=np.concatenate([starts, ends]).astype(np.int32),
        targets=np.concatenate([ends, np.full(count, count + 1)]).astype(np.int32),
        frames=np.concatenate([starts, starts + 1]).astype(np.int32),
        graph=np.concatenate([np.array(scores), starts]).astype(np.float32),
        acoustic=np.zeros(2 * count, np.float32),
        words=np.array(flat, np.int32),
        splits=splits.astype(np.int32),
    )


def test_rescoring(tiny_words: Any, checkpoint: Path, tmp_path: Path) -> None:
    """A first pass that likes a wrong word best; the decoder knows better."""
    lexicon = load_lexicon(tiny_words.lang)
    ids = {word: number for number, word in enumerate(lexicon.words, start=1)}
    decoded = tmp_path / "decode"
    lattices = []
    for cut in CutSet.from_file(tiny_words.dev):
        right = [ids[word] for word in cut.supervisions[0].text.split()]
        wrong = [*right[:-1], 1 + right[-1] % len(ids)] if right else [1]
        lattices.append((cut.id, lattice([wrong, right], [0.0, -0.5])))
    save_lattices(lattices, decoded / "lattices.safetensors")
    write_json(decoded / "lm_scale.json", {"lm_scale": 1.0})
    out = tmp_path / "dev"
    config = RescoreConfig(weights=(0.0, 1.0, 20.0))
    assert rescore_a2w(checkpoint, tiny_words.lang, decoded, tiny_words.dev, out, config) is not None
    record = json.loads((out / "weight.json").read_text())
    tried = {one["weight"]: one["errors"] for one in record["tried"]}
    assert tried[0.0] == 16
    assert record["weight"] > 0
    assert tried[record["weight"]] <= 4
    assert record["oracle_wer"] == 0
    assert json.loads((out / "wer.json").read_text())["wer"] == pytest.approx(
        100 * tried[record["weight"]] / record["tried"][0]["words"]
    )
    assert rescore_a2w(checkpoint, tiny_words.lang, decoded, tiny_words.dev, out, config) is None
    second = tmp_path / "second"
    rescore_a2w(checkpoint, tiny_words.lang, decoded, tiny_words.dev, second, config, weight_dir=out)
    assert json.loads((second / "weight.json").read_text())["chosen"] == "elsewhere"
    with pytest.raises(UserError, match="are of other utterances"):
        rescore_a2w(checkpoint, tiny_words.lang, decoded, tiny_words.train, tmp_path / "x", config)
    with pytest.raises(UserError, match=r"made by local/decode\.py --lattices"):
        rescore_a2w(checkpoint, tiny_words.lang, tmp_path, tiny_words.dev, tmp_path / "x", config)


def test_choice_of_the_weight() -> None:
    found = {"u": [Candidate(("a",), -1.0, -9.0), Candidate(("b",), -2.0, -1.0)], "v": []}
    record = _weights(found, {"u": ("b",), "v": ("c",)}, (0.0, 0.1, 0.2))
    assert [one["errors"] for one in record["tried"]] == [2, 2, 1]
    assert record["weight"] == 0.2
    assert record["oracle_wer"] == 50.0
    # of equal ones the first
    assert _weights(found, {"u": ("z",), "v": ("c",)}, (0.0, 0.1))["weight"] == 0.0
