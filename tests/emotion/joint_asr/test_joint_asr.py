"""S4's systems on a small corpus: each from features to tables."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_s4 import SMALL, SYSTEMS, TARGET, changed, run, system, task, utterances
from torch import Tensor

from sertools.config import from_dict
from sertools.decoding.transcripts import read_transcripts
from sertools.emotion.joint_asr.config import S4Config
from sertools.emotion.joint_asr.system import S4System, make_system
from sertools.emotion.kinds import SystemMaker, find_kind, load_system
from sertools.emotion.system import RunId
from sertools.errors import UserError
from sertools.evaluation.score.scoring import evaluate
from sertools.models.a2w import UtteranceDropout
from sertools.partitions.folds import read_folds
from sertools.runs.predictions import read_predictions
from sertools.training.checkpoint import load_checkpoint
from sertools.training.distributed import SINGLE
from sertools.training.loop import Conditions, Stopped


@pytest.mark.parametrize("name", SYSTEMS)
def test_from_features_to_tables(told: Any, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    made = system(told, **SYSTEMS[name])
    directory = run(told, made, tmp_path / "exp")
    table = read_predictions([directory / "predictions.csv"])
    fold = read_folds(told.folds).folds[0]
    for part in ("dev", "test"):
        assert set(table.select(part=part).utterances) == set(getattr(fold, part))
    checkpoint = load_checkpoint(directory / "checkpoint")
    assert checkpoint.config["system"] == "s4"
    recognises, learns = "asr_ser" in name, "asr_ser" in name and "frozen" not in name
    assert any(key.startswith("recogniser.") for key in checkpoint.weights) == learns
    assert (directory / "transcripts_before.csv").exists() == recognises
    assert (directory / "transcripts_after.csv").exists() == learns
    history = [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]
    assert ("dev_wer" in history[0]) == learns
    if recognises:
        rows = {one.id: one for one in read_transcripts(directory / "transcripts_before.csv")}
        assert set(rows) == set(fold.dev) | set(fold.test)
        assert (tmp_path / "exp/recogniser/vocabulary/vocabulary.txt").exists()
    # whoever is told what was said must say so
    told_so = name in ("text", "combined", "asr_ser_told", "text_of_the_recogniser")
    assert bool(checkpoint.info["remarks"]) == told_so
    caplog.set_level("INFO")
    run(told, system(told, **SYSTEMS[name]), tmp_path / "exp")
    assert "up to date" in caplog.text


def test_scores_say_what_was_told_and_what_was_heard(told: Any, tmp_path: Path) -> None:
    run(told, system(told, **SYSTEMS["asr_ser_told"]), tmp_path / "exp")
    evaluate(tmp_path / "exp", tmp_path / "results")
    for name in ("results.txt", "report.html"):
        text = (tmp_path / "results" / name).read_text()
        assert "TESTED WITH REFERENCE TRANSCRIPTS" in text
        assert "WER before" in text
    found = json.loads((tmp_path / "results/results.json").read_text())["words"]
    assert {one["scope"] for one in found} == {"all", "length", "class"}


def test_words_that_tell_are_learnt_and_errors_hurt(told: Any, tmp_path: Path) -> None:
    def wa(made: S4System, out: Path) -> float:
        test = read_predictions([run(told, made, out) / "predictions.csv"]).select(part="test")
        return float(np.mean(test.probabilities.argmax(1) == test.labels))

    longer = {"training__epochs": 12, "training__learning_rate": 1e-2}
    reference = wa(system(told, **SYSTEMS["text"], **longer), tmp_path / "reference")
    recognised = wa(system(told, **SYSTEMS["text_asr"], **longer), tmp_path / "asr")
    assert reference > 0.9 > recognised


def test_stopped_and_run_again_gives_the_same_tables(told: Any, tmp_path: Path) -> None:
    made = system(told, **SYSTEMS["asr_ser"], data__crop="random")
    whole_run = run(told, made, tmp_path / "whole")
    for stop_after in (2, 5):
        calls = iter(range(1000))
        with pytest.raises(Stopped):
            run(
                told,
                made,
                tmp_path / "cut",
                conditions=Conditions(should_stop=lambda c=calls, n=stop_after: next(c) >= n),
            )
    cut = run(told, made, tmp_path / "cut")
    for name in ("predictions.csv", "transcripts_after.csv"):
        assert (whole_run / name).read_bytes() == (cut / name).read_bytes()


def test_tables_of_another_configuration_do_not_stay(told: Any, tmp_path: Path) -> None:
    directory = run(told, system(told, **SYSTEMS["asr_ser"]), tmp_path / "exp")
    run(told, system(told, **SYSTEMS["asr_ser_frozen"]), tmp_path / "exp")
    assert not (directory / "transcripts_after.csv").exists()


def test_seeds_differ_and_repeat_in_s4(told: Any) -> None:
    made = system(told, model__branches=["audio"])
    some = utterances(told, made)

    def start(seed: int) -> tuple[Tensor, list[str]]:
        one = made.task(TARGET, some[:12], some[12:14], seed=seed, device="cpu", group=SINGLE)
        order = [u.id for batch in one.batches(1, 0) for u in batch.utterances]
        return one.model.emotion.output.weight.detach().clone(), order

    one, again, other = start(1), start(1), start(2)
    assert torch.equal(one[0], again[0])
    assert one[1] == again[1]
    assert not torch.equal(one[0], other[0])
    assert one[1] != other[1]


# mistakes


def test_mistakes(told: Any, tmp_path: Path) -> None:
    def config(**changes: Any) -> S4Config:
        return from_dict(S4Config, changed(SMALL, {key.replace("__", "."): v for key, v in changes.items()}))

    kind = find_kind("s4")
    with pytest.raises(UserError, match=r"needs --recogniser, .* made by the recogniser's training"):
        SystemMaker(kind, config(model__branches=["decoder_states"]), {})
    with pytest.raises(UserError, match="needs --transcripts"):
        SystemMaker(kind, config(**SYSTEMS["text_asr"]), {})
    with pytest.raises(UserError, match=r"takes features of dimension 6; set model\.feature_dim"):
        make_system(config(model__branches=["decoder_states"], model__feature_dim=40), told.recogniser, None)
    with pytest.raises(UserError, match="takes no --extractor; it takes --recogniser, --transcripts"):
        SystemMaker(kind, config(), {"extractor": tmp_path})
    with pytest.raises(UserError, match="features of dimension 6, the network takes 7"):
        run(told, system(told, model__feature_dim=7), tmp_path / "b")
    short = tmp_path / "transcripts.csv"
    short.write_text("id,speaker,reference,hypothesis,confidence\nutt00,spk0,no,no,\n")
    made = make_system(config(**SYSTEMS["text_asr"]), None, short)
    with pytest.raises(UserError, match=r"transcripts\.csv lacks 47 of the utterances"):
        run(told, made, tmp_path / "c")
    for values, message in (
        ({"data": {"mask_padding": False, "max_frames": 0}}, "mask_padding: false pads to max_frames"),
        ({"joint": {"weight": 1.5}}, "weight and smoothing must be in 0"),
    ):
        with pytest.raises(UserError, match=message):
            from_dict(S4Config, values)


def test_the_configuration_says_the_kind(told: Any, tmp_path: Path) -> None:
    path = tmp_path / "s4.yaml"
    path.write_text("system: s4\nmodel: {branches: [audio]}\n")
    made, inputs = load_system(path, ["data.batch_size=3"], {"recogniser": told.recogniser})(RunId("Session1", 1))
    assert isinstance(made, S4System)
    assert made.config.data.batch_size == 3
    assert made.recogniser is None, "what a system does not use is not read"
    assert inputs.hashes() == {}
    with pytest.raises(UserError, match="takes no --pretrained"):
        load_system(path, given={"pretrained": tmp_path})
    with pytest.raises(UserError, match=r"system must be one of tdnn, .*s4.*, not 's5'"):
        load_system(path, ["system=s5"])


@pytest.mark.parametrize("name", ["audio", "combined", "asr_ser", "asr_ser_frozen"])
def test_bfloat16_while_it_trains(told: Any, name: str) -> None:
    losses, dev = {}, {}
    for precision in ("float32", "bfloat16"):
        made = task(told, system(told, **SYSTEMS[name], model__dropout=0.0, precision=precision))
        for module in made.model.modules():
            if isinstance(module, UtteranceDropout):
                module.p = 0.0
        made.model.train()
        loss, _ = made.loss(next(made.batches(1, 0)))
        loss.backward()
        assert loss.dtype == torch.float32
        assert {p.grad.dtype for p in made.model.parameters() if p.grad is not None} == {torch.float32}
        losses[precision] = float(loss.detach())
        dev[precision] = made.evaluate()["dev_loss"]
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)
    assert dev["bfloat16"] == dev["float32"]
