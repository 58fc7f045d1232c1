"""The model that comes with the package: its card, and that it is whole."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from invented_experiments import invented_folds, write_experiment
from safetensors.torch import save_file

from sertools.__main__ import main
from sertools.errors import UserError
from sertools.files import content_hash
from sertools.packaged import CARD, about, packaged_model
from sertools.packaged.making import package
from sertools.runs.predictions import read_predictions


def test_a_run_is_copied_with_its_card(tmp_path: Path) -> None:
    folds = invented_folds(corpus="ravdess")
    experiment = write_experiment(tmp_path / "exp", folds)
    member = f"fold_{folds.folds[0].name}/seed_0"
    for path in experiment.glob("fold_*/seed_*/checkpoint"):
        save_file({"x": torch.zeros(2)}, path / "model.safetensors")
    info = experiment / member / "checkpoint/info.json"
    told = {"features": {"mfcc": {"num_ceps": 13}, "folder": "/home/me/data"}, "made": [{"folder": "/x", "a": 1}]}
    info.write_text(json.dumps(told))
    sexes = {name: "female" if name.endswith("F") else "male" for name in folds.speakers.values()}
    made = package(experiment, member, folds, sexes, tmp_path / "out", "./run.sh --ravdess DIR")
    kept = json.loads((tmp_path / "out/checkpoint/info.json").read_text())
    assert kept == {"features": {"mfcc": {"num_ceps": 13}}, "made": [{"a": 1}]}
    weights = experiment / member / "checkpoint/model.safetensors"
    assert (tmp_path / "out/checkpoint/model.safetensors").read_bytes() == weights.read_bytes()
    # each utterance once, by the network that had not heard its speaker
    tested = read_predictions(tmp_path / "out/tested.csv")
    assert sorted(tested.utterances.tolist()) == sorted(folds.labels)
    assert (set(tested.parts.tolist()), set(tested.seeds.tolist())) == ({"test"}, {0})
    card = made.read_text()
    for words in ("CC BY-NC-SA 4.0", "4 folds; no speaker is in two parts", "./run.sh --ravdess DIR", "| angry | 24 |",
                  "female (4)", "male (4)", "Calibration (ECE", "## Not for", "Livingstone"):  # fmt: skip
        assert words in card
    with pytest.raises(UserError, match="no trained run"):
        package(experiment, "fold_x/seed_1", folds, sexes, tmp_path / "other")
    for path, content in ((info, b"{"), (weights, b"weights")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=path.name):
            package(experiment, member, folds, sexes, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_packaged_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = packaged_model()
    for path in model.rglob("*"):
        # nothing of the machine that made it
        assert path.is_dir() or path.suffix == ".safetensors" or re.search(r'": "/|/home/', path.read_text()) is None
    assert content_hash(model / "checkpoint/model.safetensors")[:16] in about(), f"{CARD} is of another model"
    assert sum(path.stat().st_size for path in model.rglob("*") if path.is_file()) < 3e6
    x = np.random.default_rng(0).normal(0, 0.1, 16000)
    soundfile.write(tmp_path / "noise.wav", x, 16000)
    assert main(["predict", str(tmp_path / "noise.wav"), "--json", "-"]) == 0
    out, err = capsys.readouterr()
    (told,) = json.loads(out)["utterances"]
    assert set(told["probabilities"]) == {"angry", "happy", "sad", "neutral"}
    assert sum(told["probabilities"].values()) == pytest.approx(1)
    assert "not for commercial use" in err
    assert main(["predict", "--about"]) == 0
    assert "## Not for" in capsys.readouterr().out
