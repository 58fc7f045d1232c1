"""Training from cuts: killed, run again, changed, too little, broken."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from lhotse import CutSet
from lhotse.supervision import AlignmentItem

from sertools.config import from_dict, to_dict
from sertools.errors import UserError
from sertools.features.ivector import steps, training
from sertools.features.ivector.config import IvectorConfig
from sertools.features.ivector.model import IvectorModel, load_model
from sertools.features.ivector.passes import make_batches
from sertools.features.ivector.steps import Corpus, extractor_statistics
from sertools.features.ivector.training import check_size, train_ivector

CONFIG = from_dict(
    IvectorConfig,
    {
        "transform": {"dim": 8, "context": 1},
        "ubm": {"num_gaussians": 6, "init_iterations": 4, "iterations": 2, "num_frames": 400},
        "extractor": {"dim": 4, "iterations": 3, "gaussian_min_count": 2.0},
    },
)


def history(directory: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]


def weights(directory: Path) -> bytes:
    return (directory / "model" / "model.safetensors").read_bytes()


def test_a_model_is_trained_and_kept(noise_features: Path, tmp_path: Path) -> None:
    where = train_ivector(CONFIG, noise_features, tmp_path / "out")
    model = load_model(where)
    assert (model.dim, model.ubm.dim, model.frontend.feature_dim) == (4, 8, 13)
    assert model.extractor.num_gaussians == model.ubm.num_gaussians <= 6
    entries = history(tmp_path / "out")
    assert [e["step"] for e in entries] == ["transform", "ubm grown", "ubm 1", "ubm 2"] + [
        f"extractor {i}" for i in range(4)
    ]
    auxiliary = [e["auxiliary"] for e in entries if "auxiliary" in e]
    assert auxiliary == sorted(auxiliary)  # type: ignore[type-var]
    assert not (tmp_path / "out" / "state.safetensors").exists()
    before = weights(tmp_path / "out")
    stamp = (tmp_path / "out" / "stamp.json").stat().st_mtime_ns
    train_ivector(CONFIG, noise_features, tmp_path / "out")
    assert (tmp_path / "out" / "stamp.json").stat().st_mtime_ns == stamp
    train_ivector(CONFIG, noise_features, tmp_path / "again")
    assert weights(tmp_path / "again") == before


def test_threads_change_nothing_but_rounding(
    noise_features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "make_batches", lambda cuts: make_batches(cuts, 150))
    models = [load_model(train_ivector(CONFIG, noise_features, tmp_path / str(n), workers=n)) for n in (1, 3)]
    assert torch.allclose(models[0].ubm.means, models[1].ubm.means, atol=1e-3)
    assert torch.allclose(models[0].extractor.precisions, models[1].extractor.precisions, rtol=1e-2, atol=1e-2)


def test_a_changed_configuration_is_trained_again(noise_features: Path, tmp_path: Path) -> None:
    train_ivector(CONFIG, noise_features, tmp_path / "out")
    before = weights(tmp_path / "out")
    changed = from_dict(
        IvectorConfig,
        {"transform": {"dim": 7, "context": 1}, "ubm": vars(CONFIG.ubm), "extractor": vars(CONFIG.extractor)},
    )
    train_ivector(changed, noise_features, tmp_path / "out")
    assert weights(tmp_path / "out") != before
    # what only extraction reads does not matter here
    stamp = (tmp_path / "out" / "stamp.json").stat().st_mtime_ns
    other = from_dict(
        IvectorConfig,
        {
            "transform": {"dim": 7, "context": 1},
            "ubm": vars(CONFIG.ubm),
            "extractor": vars(CONFIG.extractor),
            "extraction": {"period": 5},
        },
    )
    train_ivector(other, noise_features, tmp_path / "out")
    assert (tmp_path / "out" / "stamp.json").stat().st_mtime_ns == stamp


def test_interrupted_at_any_step_it_goes_on_there(
    noise_features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_ivector(CONFIG, noise_features, tmp_path / "whole")
    real = training.TrainingState.done
    made: list[str] = []

    def dying(
        self: training.TrainingState, step: str, entry: dict[str, object], tensors: dict[str, torch.Tensor]
    ) -> None:
        real(self, step, entry, tensors)
        made.append(step)
        raise KeyboardInterrupt

    monkeypatch.setattr(training.TrainingState, "done", dying)
    for _ in range(8):
        with pytest.raises(KeyboardInterrupt):
            train_ivector(CONFIG, noise_features, tmp_path / "cut")
    train_ivector(CONFIG, noise_features, tmp_path / "cut")
    # each step was made once
    assert made == [str(e["step"]) for e in history(tmp_path / "cut")]
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_killed_and_run_again(noise_features: Path, tmp_path: Path) -> None:
    """A real SIGKILL, in the middle of an iteration."""
    program = (
        "import sys, time, json; from sertools.config import from_dict\n"
        "from sertools.features.ivector import passes, training\n"
        "from sertools.features.ivector.config import IvectorConfig\n"
        "real = training.steps.one_pass\n"
        "def slow(*a):\n    time.sleep(0.2)\n    return real(*a)\n"
        "training.steps.one_pass = slow\n"
        "c = from_dict(IvectorConfig, json.loads(sys.argv[3]))\n"
        "training.train_ivector(c, sys.argv[1], sys.argv[2])\n"
    )
    out = tmp_path / "cut"
    command = [sys.executable, "-c", program, str(noise_features), str(out), json.dumps(to_dict(CONFIG))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    state = out / "state.safetensors"
    while not state.exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert state.exists()
    assert "unfinished" in (out / "stamp.json").read_text()
    subprocess.run(command, check=True)
    train_ivector(CONFIG, noise_features, tmp_path / "whole")
    # another process may add up in another order than this one
    found, expected = load_model(out / "model"), load_model(tmp_path / "whole" / "model")
    assert torch.allclose(found.extractor.projections, expected.extractor.projections, atol=1e-4)


def test_a_damaged_state_is_not_used(noise_features: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "state.safetensors").write_bytes(b"half of a file")
    train_ivector(CONFIG, noise_features, tmp_path / "out")
    assert len(history(tmp_path / "out")) == 8


def test_speakers_of_a_fold(noise_features: Path, tmp_path: Path) -> None:
    train_ivector(CONFIG, noise_features, tmp_path / "out", speakers=["spk0", "spk1"])
    info = json.loads((tmp_path / "out" / "model" / "info.json").read_text())
    assert info["training"]["utterances"] == 8
    with pytest.raises(UserError, match="no cuts of the training speakers"):
        train_ivector(CONFIG, noise_features, tmp_path / "none", speakers=["nobody"])


def test_too_little_speech_is_said_at_once() -> None:
    full = IvectorConfig()
    with pytest.raises(UserError, match=r"num_gaussians is 512.*15\.0 minutes.*enough for 90 at most.*1000 frames"):
        check_size(90000, 240, full)
    with pytest.raises(UserError, match="too few for an i-vector extractor"):
        check_size(900, 3, full)
    with pytest.raises(UserError, match=r"extractor\.dim is 100, but there are only 99 utterances"):
        check_size(10**6, 99, full)
    check_size(10**6, 1000, full)


def test_too_little_speech_costs_no_time(noise_features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "one_pass", lambda *a: pytest.fail("a pass over the data was begun"))
    with pytest.raises(UserError, match="enough for 1 at most"):
        train_ivector(IvectorConfig(), noise_features, tmp_path / "out")


def test_features_that_are_not_numbers(noise_features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lhotse.cut.MonoCut.load_features", lambda cut: np.full((cut.num_frames, 13), np.nan))
    with pytest.raises(UserError, match=r"utt\d\d: features are not finite"):
        train_ivector(CONFIG, noise_features, tmp_path / "out")


def test_cuts_without_features(noise_cuts: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no features; run the feature stage"):
        train_ivector(CONFIG, noise_cuts, tmp_path / "out")


def test_silence_trains_without_harm(noise_features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the utterances digital silence: all their frames are the same."""
    real = {c.id: c.load_features() for c in CutSet.from_file(noise_features)}

    def half(cut: object) -> np.ndarray:
        features = real[cut.id]  # type: ignore[attr-defined]
        return np.full_like(features, -15.9) if int(cut.id[-2:]) % 2 else features  # type: ignore[attr-defined]

    monkeypatch.setattr("lhotse.cut.MonoCut.load_features", half)
    model = load_model(train_ivector(CONFIG, noise_features, tmp_path / "out"))
    for tensor in (model.ubm.means, model.ubm.variances, model.extractor.projections, model.extractor.precisions):
        assert torch.isfinite(tensor).all()


def test_lda(noise_features: Path, tmp_path: Path) -> None:
    options = {
        "transform": {"kind": "lda", "dim": 2, "context": 1},
        "ubm": vars(CONFIG.ubm),
        "extractor": vars(CONFIG.extractor),
    }
    config = from_dict(IvectorConfig, options)
    with pytest.raises(UserError, match="no supervision has an alignment 'phone'"):
        train_ivector(config, noise_features, tmp_path / "out")
    cuts = CutSet.from_file(noise_features).to_eager()
    for cut in cuts:
        third = round(cut.duration / 3, 2)
        cut.supervisions[0].alignment = {
            "phone": [
                AlignmentItem("AH", 0.0, third),
                AlignmentItem("SIL", third, third),
                AlignmentItem("S", 2 * third, third),
            ]
        }
    aligned = tmp_path / "aligned.jsonl.gz"
    cuts.to_file(aligned)
    assert load_model(train_ivector(config, aligned, tmp_path / "out")).frontend.dim == 2


@pytest.mark.parametrize("subsample", [1, 3])
def test_a_frame_in_so_many_counts_for_as_many(
    noise_features: Path, model: IvectorModel, monkeypatch: pytest.MonkeyPatch, subsample: int
) -> None:
    """The prior weighs against all frames, whichever of them are used."""
    lengths = (11, 12, 31)
    frames = [torch.randn(n, 5, generator=torch.Generator().manual_seed(n)) for n in lengths]
    corpus = Corpus(list(CutSet.from_file(noise_features))[:3], 1, "cpu", lambda done, total: None)
    monkeypatch.setattr("sertools.features.ivector.passes.read_features", lambda cut: frames.pop(0))
    found = extractor_statistics(corpus, model.frontend, model.ubm, model.extractor, model.posteriors, subsample)
    used = sum(-(-n // subsample) for n in lengths)
    assert float(found.counts.sum()) == pytest.approx(used * subsample * model.posteriors.scale, rel=1e-4)
