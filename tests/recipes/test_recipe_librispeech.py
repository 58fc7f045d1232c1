"""egs/librispeech on a tiny demo corpus, from nothing to the WER of every part."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from lhotse import CutSet

pytestmark = pytest.mark.recipe

DEMO = (
    "corpus: {train_clean: 2, train_other: 1, dev_clean: 1, dev_other: 0, test_clean: 1, test_other: 1, sentences: 6}"
)
SMALL = """
model:
  encoder_layers: 1
  encoder_dim: 8
  decoder_dim: 8
  embedding_dim: 8
  attention_dim: 8
auxiliary: ctc_phones
data: {batch_frames: 6000}
training: {epochs: 2, select_by: dev_wer}
"""
SEARCH = "{beam: 2, max_tokens: 20, length_powers: [1.0, 0.0], coverages: [0.0], plots: 1}"


def test_librispeech_demo(recipe: Callable[[str], Any]) -> None:
    librispeech = recipe("librispeech")
    librispeech.write("conf/demo.yaml", DEMO)
    librispeech.replace("a2w/a2w_demo.yaml", SMALL)
    librispeech.replace("a2w/decode_a2w.yaml", SEARCH)
    done = librispeech.run("--nj", "1")
    for stage in range(6):
        assert f"== stage {stage}: " in done.stdout
    train, dev = (
        CutSet.from_file(librispeech.directory / "data/demo/fbank" / part / "cuts.jsonl.gz").to_eager()
        for part in ("train", "dev")
    )
    assert {cut.supervisions[0].custom["subset"] for cut in train} == {"train-clean-100", "train-other-500"}
    assert len(train) % 3 == 0
    assert {cut.supervisions[0].custom["subset"] for cut in dev} == {"dev-clean"}
    assert dev[0].load_features().shape[1] == 40
    words = librispeech.read("data/demo/vocabulary/vocabulary.txt").split()
    assert words[::2][:2] == ["<UNK>", "<eos>"]
    # S4's size is of the real corpus: here every word is in it
    assert json.loads(librispeech.read("data/demo/vocabulary/coverage.json"))
    model = "exp/demo_a2w_demo"
    for part in ("dev", "test", "test-other"):
        wer = json.loads(librispeech.read(f"{model}/decode_{part}/wer.json"))
        assert wer["errors"]["words"] > 10
        assert f"{part}: %WER" in done.stdout
    assert not (librispeech.directory / model / "decode_dev-other").exists()
    chosen, taken = (json.loads(librispeech.read(f"{model}/decode_{part}/search.json")) for part in ("dev", "test"))
    assert len(chosen["tried"]) == 2
    assert (taken["length_power"], taken["coverage"]) == (chosen["length_power"], chosen["coverage"])

    # run again: the network is not trained twice
    librispeech.run("--stage", "4", "--stop-stage", "4")
    assert "up to date" in librispeech.read(f"{model}/log/train.log")


def test_librispeech_mistakes(recipe: Callable[[str], Any]) -> None:
    librispeech = recipe("librispeech")
    for options, message in (
        (["--stage", "4"], "the vocabulary stage"),
        (["--stage", "5"], "the training stage"),
        (["--stage", "1", "--corpus", "nowhere"], "nowhere is not a folder"),
    ):
        done = librispeech.run(*options, check=False)
        said = done.stdout + done.stderr
        assert done.returncode != 0, options
        assert message in said, (options, said)
        assert "Traceback" not in said, (options, said)
