"""One run of an experiment: learns, resumes, redoes what changed, and keeps its hands off test."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lhotse import CutSet
from lhotse.features.io import LilcomChunkyWriter

from sertools.data.weights import balanced_weights
from sertools.emotion.data import Utterance
from sertools.emotion.experiment import Experiment, always, train_run, train_runs
from sertools.emotion.features_head.config import HeadConfig, HeadDataConfig
from sertools.emotion.features_head.system import HeadSystem
from sertools.emotion.system import RunId
from sertools.emotion.tdnn.config import DataConfig, EmotionConfig
from sertools.emotion.tdnn.system import make_system
from sertools.emotion.tdnn.task import feature_statistics
from sertools.errors import UserError
from sertools.evaluation.score.scoring import evaluate
from sertools.models.emotion import EmotionModelConfig
from sertools.models.tdnnf import TdnnfConfig
from sertools.partitions.folds import read_folds
from sertools.partitions.target import Target
from sertools.runs.predictions import read_predictions
from sertools.training.checkpoint import load_checkpoint
from sertools.training.loop import Conditions, Stopped, TrainingConfig

TRUNK = TdnnfConfig(feature_dim=6, hidden_dim=16, bottleneck_dim=8, prefinal_dim=8, strides=(0, 1, 3))
CONFIG = EmotionConfig(
    model=EmotionModelConfig(TRUNK, ("tdnnf3",), head_dim=8),
    data=DataConfig(batch_frames=400),
    training=TrainingConfig(epochs=6, learning_rate=1e-2, final_learning_rate=1e-3),
)


def run(corpus: tuple[Path, Path], out: Path, config: EmotionConfig = CONFIG, **options: object) -> Path:
    cuts, folds = corpus
    experiment = Experiment(always(make_system(config)), read_folds(folds), out, (cuts,))
    return train_run(experiment, "Session1", 1, **options)  # type: ignore[arg-type]


def test_learns_and_writes_everything(tiny_corpus: tuple[Path, Path], tmp_path: Path) -> None:
    directory = run(tiny_corpus, tmp_path / "exp")
    assert directory == tmp_path / "exp" / "fold_Session1" / "seed_1"
    table = read_predictions([directory / "predictions.csv"])
    fold = read_folds(tiny_corpus[1]).folds[0]
    assert set(table.select(part="test").utterances) == set(fold.test)
    assert set(table.select(part="dev").utterances) == set(fold.dev)
    test = table.select(part="test")
    assert np.mean(test.probabilities.argmax(1) == test.labels) > 0.8
    history = [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]
    assert len(history) == 6
    checkpoint = load_checkpoint(directory / "checkpoint")
    assert checkpoint.info["classes"] == ["angry", "sad"]
    best = max(history, key=lambda e: (e["dev_ua"], -e["dev_loss"]))
    assert checkpoint.info["best_epoch"] == best["epoch"]
    assert not (directory / "state.safetensors").exists()


def test_stopped_and_run_again_gives_the_same_table(tiny_corpus: tuple[Path, Path], tmp_path: Path) -> None:
    whole = run(tiny_corpus, tmp_path / "whole")
    for stop_after in (3, 7):
        calls = iter(range(1000))
        with pytest.raises(Stopped):
            run(
                tiny_corpus,
                tmp_path / "cut",
                conditions=Conditions(should_stop=lambda c=calls, n=stop_after: next(c) >= n),
            )
    cut = run(tiny_corpus, tmp_path / "cut")
    assert (whole / "predictions.csv").read_bytes() == (cut / "predictions.csv").read_bytes()


def test_up_to_date_and_stale(tiny_corpus: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    directory = run(tiny_corpus, tmp_path / "exp")
    before = (directory / "predictions.csv").stat().st_mtime_ns
    caplog.clear()
    run(tiny_corpus, tmp_path / "exp")
    assert "up to date" in caplog.text
    assert (directory / "predictions.csv").stat().st_mtime_ns == before
    changed = dataclasses.replace(CONFIG, model=EmotionModelConfig(TRUNK, ("tdnnf3",), head_dim=0))
    with pytest.raises(Stopped):
        run(tiny_corpus, tmp_path / "exp", changed, conditions=Conditions(should_stop=lambda: True))
    assert not (directory / "predictions.csv").exists(), "an out-of-date table must not be scored"
    caplog.clear()
    run(tiny_corpus, tmp_path / "exp", changed)
    assert "model.head_dim: 8 -> 0" in caplog.text
    assert "head.hidden.weight" not in load_checkpoint(directory / "checkpoint").weights


def test_test_data_touches_nothing_but_its_own_predictions(tiny_corpus: tuple[Path, Path], tmp_path: Path) -> None:
    """Other features of the test utterances: the same weights, the same dev rows."""
    cuts_path, folds_path = tiny_corpus
    first = run(tiny_corpus, tmp_path / "one")
    test = set(read_folds(folds_path).folds[0].test)
    cuts = CutSet.from_file(cuts_path).to_eager()
    train = next(c for c in cuts if c.id in read_folds(folds_path).folds[0].train)
    others = []
    for cut in cuts:
        if cut.id in test:
            # another utterance's features under this one's name
            cut = dataclasses.replace(cut, features=train.features, duration=train.duration)
        others.append(cut)
    CutSet.from_cuts(others).to_file(tmp_path / "others.jsonl.gz")
    second = run((tmp_path / "others.jsonl.gz", folds_path), tmp_path / "two")
    one, two = (load_checkpoint(d / "checkpoint").weights for d in (first, second))
    assert all(torch.equal(one[name], two[name]) for name in one)
    tables = [read_predictions([d / "predictions.csv"]) for d in (first, second)]
    assert np.array_equal(tables[0].select(part="dev").probabilities, tables[1].select(part="dev").probabilities)
    assert not np.array_equal(tables[0].select(part="test").probabilities, tables[1].select(part="test").probabilities)


def test_unknown_fold(tiny_corpus: tuple[Path, Path], tmp_path: Path) -> None:
    experiment = Experiment(always(make_system(CONFIG)), read_folds(tiny_corpus[1]), tmp_path, tiny_corpus[:1])
    with pytest.raises(UserError, match="no fold 'Session9'; there are Session1, Session2"):
        train_run(experiment, "Session9", 1)


def test_balanced_weights_and_statistics() -> None:
    utterances = [
        Utterance("a", "s", "c", torch.full((30, 1), 2.0), 0),
        Utterance("b", "s", "c", torch.full((10, 1), 6.0), 1),
    ]
    weights = balanced_weights([(0, 30.0), (1, 10.0)], 2)
    assert (weights * torch.tensor([30.0, 10.0])).tolist() == pytest.approx([20.0, 20.0])
    mean, std = feature_statistics(utterances)
    assert mean.item() == pytest.approx(3.0)
    assert std.item() == pytest.approx(3.0**0.5)


def test_ivectors_reach_the_network(tiny_corpus: tuple[Path, Path], tmp_path: Path) -> None:
    """Features without the class, i-vectors with it: only a network that takes them can learn."""
    cuts = CutSet.from_file(tiny_corpus[0]).to_eager()
    generator = np.random.default_rng(1)
    with LilcomChunkyWriter(tmp_path / "more.lca", tick_power=-8) as writer:
        for cut in cuts:
            sign = 1 if cut.supervisions[0].custom["emotion"] == "angry" else -1
            rows = generator.normal(0, 0.1, (-(-cut.num_frames // 10), 3)) + np.array([sign, 0, 0])
            track = writer.store_array(cut.id, rows.astype(np.float32), frame_shift=0.1, temporal_dim=0, start=0.0)
            noise = generator.normal(0, 1, (cut.num_frames, 6)).astype(np.float32)
            cut.features.storage_key = writer.write(cut.id, noise)
            cut.features.storage_path = writer.storage_path
            cut.custom = {"ivector": track}
    cuts.to_file(tmp_path / "ivector.jsonl.gz")
    corpus = (tmp_path / "ivector.jsonl.gz", tiny_corpus[1])
    trunk = dataclasses.replace(TRUNK, ivector_dim=3)
    config = dataclasses.replace(CONFIG, model=EmotionModelConfig(trunk, ("tdnnf3",), head_dim=8))

    def wa(directory: Path) -> float:
        test = read_predictions([directory / "predictions.csv"]).select(part="test")
        return float(np.mean(test.probabilities.argmax(1) == test.labels))

    assert wa(run(corpus, tmp_path / "with", config)) > 0.9
    assert wa(run(corpus, tmp_path / "without")) < 0.8
    other = EmotionModelConfig(dataclasses.replace(TRUNK, ivector_dim=4), ("tdnnf3",), head_dim=8)
    with pytest.raises(UserError, match=r"dimension 3, the network takes 4; set model\.trunk\.ivector_dim: 3"):
        run(corpus, tmp_path / "other", dataclasses.replace(CONFIG, model=other))


def test_a_corpus_on_disk_gives_the_same_table(tiny_corpus: tuple[Path, Path], tmp_path: Path) -> None:
    stored = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, memory_gb=1e-5, max_frames=30))
    memory = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, max_frames=30))
    one, two = run(tiny_corpus, tmp_path / "disk", stored), run(tiny_corpus, tmp_path / "memory", memory)
    assert (one / "predictions.csv").read_bytes() == (two / "predictions.csv").read_bytes()


def test_a_number_from_features_to_a_page(tiny_corpus: tuple[Path, Path], tmp_path: Path) -> None:
    """Folds whose target is a number: a head on stored features, a table of values, CCC on the page."""
    folds = read_folds(tiny_corpus[1])
    values = {u: (4.0 if label == "angry" else 2.0) + 0.01 * n for n, (u, label) in enumerate(folds.labels.items())}
    remark = "LABELLED BY NOBODY: invented values"
    folds = dataclasses.replace(
        folds, target=Target("arousal", "number", low=1.0, high=5.0), labels=values, remarks=(remark,)
    )
    training = TrainingConfig(epochs=8, learning_rate=2e-2, select_by="dev_ccc")
    system = HeadSystem(HeadConfig(pooling="statistics", head_dim=8, data=HeadDataConfig(8), training=training))
    experiment = Experiment(always(system), folds, tmp_path / "exp", tiny_corpus[:1])
    runs = list(train_runs(experiment, [RunId(fold.name, 1) for fold in folds.folds]))
    table = read_predictions([run / "predictions.csv" for run in runs])
    test = table.select(part="test")
    assert dict(zip(test.utterances.tolist(), test.labels.tolist(), strict=True)) == pytest.approx(values)
    assert np.corrcoef(test.labels, test.outputs)[0, 1] > 0.5
    info = load_checkpoint(runs[0] / "checkpoint").info
    assert info["target"]["kind"] == "number"
    assert info["remarks"] == [remark]
    evaluate(tmp_path / "exp", tmp_path / "results")
    page = (tmp_path / "results/results.txt").read_text()
    assert "CCC" in page
    assert remark in page
