"""The recipes on their demo corpora: synthetic speech, from nothing to the page."""

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.recipe

SMALL = """
model:
  trunk: {hidden_dim: 16, bottleneck_dim: 8, prefinal_dim: 8, strides: [0, 1, 1, 3]}
  layers: [tdnnf4]
  head_dim: 8
data: {batch_frames: 4000, max_frames: 200}
training: {epochs: 4, learning_rate: 5.0e-3, final_learning_rate: 1.0e-3}
dropout: 0
"""

DEMO_IEMOCAP = "corpus: {improvised: 1, scripted: 1, turns: 8}"
DEMO_TEDLIUM2 = "corpus: {train_talks: 3, dev_talks: 1, test_talks: 1, sentences: 8, lm_sentences: 60}"
SMALL_IVECTOR = """
transform: {dim: 12, context: 1}
ubm: {num_gaussians: 4, init_iterations: 2, iterations: 1}
extractor: {dim: 4, iterations: 1}
speakers: {max_utterances: 2}
"""
SMALL_TDNNF = """
model:
  trunk: {ivector_dim: IVECTORS, hidden_dim: 32, bottleneck_dim: 16, prefinal_dim: 16, strides: [0, 1, 3]}
  head_dim: 32
  head_bottleneck_dim: 16
data: {batch_frames: 4000}
training: {epochs: 2, learning_rate: 5.0e-3, final_learning_rate: 1.0e-3, select_by: dev_per}
"""
# a network that knows next to nothing keeps all paths open
NARROW = "search: {search_beam: 10, kaldi_beam: 6, output_beam: 2}"

FROM_SCRATCH = ("--pretrained", "none", "--ivectors", "", "--system", "tdnn", "--choose-on-dev", "")
SMALL_HEAD = """
model: {layers: [tdnnf3], head_dim: 8}
transfer: {start: pretrained, train: head}
data: {batch_frames: 500, max_frames: 20}
training: {epochs: 3}
dropout: 0
"""


def test_iemocap_demo(recipe: Callable[[str], Any]) -> None:
    iemocap = recipe("iemocap")
    iemocap.replace("s1/tdnn.yaml", SMALL)
    iemocap.write("conf/demo.yaml", DEMO_IEMOCAP)
    iemocap.run(*FROM_SCRATCH, "--num-seeds", "1")
    results = iemocap.directory / "exp" / "demo_tdnn_paper" / "results"
    assert "synthetic" in (results / "results.txt").read_text().splitlines()[0].lower()
    assert "synthetic" in (results / "report.html").read_text().lower()
    folds = json.loads(iemocap.read("data/demo/folds/paper/folds.json"))
    assert len(folds["folds"]) == 5
    assert folds["target"]["classes"] == ["angry", "excited", "neutral", "sad"]
    # the same corpus under another protocol
    iemocap.run(*FROM_SCRATCH, "--stage", "2", "--protocol", "random", "--num-seeds", "1")
    text = iemocap.read("exp/demo_tdnn_random/results/results.txt").lower()
    assert "speaker-dependent" in text


def transfer(iemocap: Any) -> None:
    """From the demo network of egs/tedlium2 to a comparison of emotion systems, with nothing done by hand."""
    iemocap.write("conf/demo.yaml", DEMO_IEMOCAP)
    iemocap.replace("features/bottleneck.yaml", "bottleneck: {layers: [tdnnf2, tdnnf3, prefinal]}")
    iemocap.replace("s1/s1.yaml", SMALL_HEAD)
    pooled = "base: s1.yaml\nmodel: {pooling: statistics, head_dim: 0}\ndata: {normalise: speaker}"
    iemocap.replace("s1/pooled.yaml", pooled)
    iemocap.replace("s1/s1_scratch.yaml", "base: s1_finetune.yaml\ntransfer: {start: random}\ntraining: {epochs: 1}")
    systems = ("s1:tdnnf3", "s1:prefinal", "s1_scratch", "pooled")
    options = ("--system", " ".join(systems), "--choose-on-dev", "s1_on_dev=s1:tdnnf3,s1:prefinal", "--num-seeds", "1")
    iemocap.run(*options)
    exp = "exp/demo_{}_paper_from_demo_tdnnf_demo"
    text = iemocap.read(exp.format("comparison") + "/comparison.txt")
    assert "SYNTHETIC" in text
    for name in (*systems, "s1_on_dev"):
        assert name in text
    assert (iemocap.directory / exp.format("comparison") / "comparison.html").exists()
    head = iemocap.read(exp.format("s1_tdnnf3") + "/fold_Session1/seed_1/checkpoint/info.json")
    assert json.loads(head)["pretrained"] == "../../pretrained"

    # run again: nothing is done twice
    iemocap.run("--stage", "5", *options)
    for log in ("data/demo/log/bottleneck_from_demo_tdnnf_demo.1.log", exp.format("pooled") + "/log/train.1.log"):
        assert "up to date" in iemocap.read(log) or "0 blocks computed" in iemocap.read(log), log

    # a changed head: its trainings alone
    iemocap.replace("s1/s1.yaml", SMALL_HEAD.replace("head_dim: 8", "head_dim: 6"))
    iemocap.run("--stage", "6", "--stop-stage", "6", "--system", "s1:tdnnf3", "--num-seeds", "1")
    assert "model.head_dim: 8 -> 6" in iemocap.read(exp.format("s1_tdnnf3") + "/log/train.1.log")

    for arguments, message in (
        (["--stage", "6", "--system", "s1:tdnnf9"], "no layer tdnnf9"),
        (["--stage", "6", "--system", "s1", "--pretrained", "none", "--ivectors", ""], "needs --pretrained"),
        (["--stage", "4", "--pretrained", "elsewhere"], "give it by --extractor"),
        (["--stage", "5", "--pretrained", "elsewhere", "--ivectors", ""], "elsewhere/checkpoint"),
    ):
        done = iemocap.run(*arguments, check=False)
        said = done.stdout + done.stderr
        assert done.returncode != 0, arguments
        assert message in said, (arguments, said)
        assert "Traceback" not in said, (arguments, said)


@pytest.mark.modern
def test_tedlium2_demo(recipe: Callable[[str], Any]) -> None:
    from lhotse import CutSet

    tedlium2 = recipe("tedlium2")
    tedlium2.write("conf/demo.yaml", DEMO_TEDLIUM2)
    tedlium2.write("conf/ivector/ivector_small.yaml", SMALL_IVECTOR)
    tedlium2.replace("lfmmi/tdnnf_demo.yaml", SMALL_TDNNF.replace("IVECTORS", "4"))
    tedlium2.replace("lfmmi/tdnnf_small.yaml", SMALL_TDNNF.replace("IVECTORS", "0"))
    tedlium2.replace("lfmmi/decode.yaml", NARROW)
    done = tedlium2.run("--stop-stage", "8")
    for stage in range(9):
        assert f"== stage {stage}: " in done.stdout
    train, dev = (
        CutSet.from_file(tedlium2.directory / "data/demo/ivector" / part / "cuts.jsonl.gz").to_eager()
        for part in ("train", "dev")
    )
    assert len(train) % 3 == 0
    assert {c.supervisions[0].speaker.startswith("sp") for c in dev} == {False}
    first = next(iter(train))
    assert first.load_features().shape[1] == 40
    assert first.load_ivector().shape[1] == 4
    model = "exp/demo_tdnnf_demo"
    wer = json.loads(tedlium2.read(f"{model}/decode_test/wer.json"))
    assert wer["errors"]["words"] > 20
    assert "%WER" in done.stdout
    scale = json.loads(tedlium2.read(f"{model}/decode_dev/lm_scale.json"))
    assert json.loads(tedlium2.read(f"{model}/decode_test/lm_scale.json"))["lm_scale"] == scale["lm_scale"]
    checkpoint = (tedlium2.directory / model / "checkpoint/model.safetensors").read_bytes()

    # run again: nothing is done twice
    tedlium2.run("--stage", "2", "--stop-stage", "8")
    logs = ["prepare_lang", "make_word_lm", "make_lfmmi_graphs"]
    for log in (
        *(f"data/demo/log/{name}.log" for name in logs), "exp/demo_ivector/log/train.log",
        f"{model}/log/train.log", f"{model}/log/decode_test.log",
    ):  # fmt: skip
        assert "up to date" in tedlium2.read(log), log
    assert (tedlium2.directory / model / "checkpoint/model.safetensors").read_bytes() == checkpoint

    # the manifests as somebody else's, without a dictionary or i-vectors
    tedlium2.run(
        "--stage", "2", "--stop-stage", "8", "--manifests", "data/demo/manifests", "--prefix", "tedlium2_cuts",
        "--name", "mine", "--ivectors", "false", "--system", "tdnnf_small",
    )  # fmt: skip
    assert "s" in tedlium2.read("data/mine/lang/phones.txt").split()
    assert (tedlium2.directory / "exp/mine_tdnnf_small/decode_test/wer.txt").exists()

    transfer(recipe("iemocap"))


def test_tedlium2_mistakes(recipe: Callable[[str], Any]) -> None:
    tedlium2 = recipe("tedlium2")
    for options, message in (
        (["--stage", "3"], "the preparation stage"),
        (["--stage", "4"], "the feature stage"),
        (["--stage", "5"], "the feature stage"),
        (["--stage", "6"], "the lang stage"),
        (["--stage", "7"], "the lang stage"),
        (["--stage", "2", "--manifests", "nowhere"], "nowhere/cuts_train.jsonl.gz"),
        (["--stage", "7", "--system", "tdnf"], "there is no configuration file ../common/conf/lfmmi/tdnf.yaml"),
        (
            ["--graphs", "graphs_tri", "--stage", "6"],
            "there is no configuration file ../common/conf/lfmmi/graphs_tri.yaml",
        ),
    ):
        done = tedlium2.run(*options, check=False)
        said = done.stdout + done.stderr
        assert done.returncode != 0, options
        assert message in said, (options, said)
        assert "Traceback" not in said, (options, said)
