"""Cnn14 as a system: starts, linear only, what batches hold, curves, distances."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lhotse import CutSet
from safetensors.torch import load_file
from vector_corpus import make_vector_corpus

from sertools.emotion.cnn14.batches import SILENCE, crops, whole
from sertools.emotion.cnn14.config import Cnn14DataConfig, Cnn14SystemConfig
from sertools.emotion.cnn14.start import load_source
from sertools.emotion.cnn14.task import Cnn14Task
from sertools.emotion.data import Utterance
from sertools.emotion.experiment import Experiment, train_run
from sertools.emotion.kinds import load_system
from sertools.errors import UserError
from sertools.evaluation.score.scoring import evaluate
from sertools.features.access import read
from sertools.features.arrays import ArraysWriter
from sertools.features.maker import Archive
from sertools.manifests import read_cuts
from sertools.partitions.folds import read_folds
from sertools.partitions.target import Target
from sertools.runs.predictions import read_predictions
from sertools.training.distributed import SINGLE, Group

QUICK = ("system=cnn14", "model.num_mel_bins=4", "model.width=2", "model.blocks=2", "model.dropout=none",
         "data.crop_frames=6", "training.epochs=2", "training.learning_rate=0.05",
         "training.final_learning_rate=0.05")  # fmt: skip
LINEAR = ("transfer.start=source", "transfer.train=linear")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Cuts with spectra of 4 to 9 frames and 4 bands that tell class and gender; folds of both."""
    directory = tmp_path_factory.mktemp("cnn14")
    cuts, folds, gender = make_vector_corpus(directory, 48)
    generator = np.random.default_rng(1)
    made = []
    with open(directory / "logmel.bin", "wb") as stream:
        archive = Archive(ArraysWriter(stream, "float32"), directory / "logmel.bin")
        for number, cut in enumerate(read_cuts(cuts)):
            told = read(cut, "functionals").numpy()[:, -4:]
            rows = 10 * told - 40 + generator.normal(size=(4 + number % 6, 4))
            made.append(archive.with_array(cut, "logmel", rows.astype(np.float32), 0.01))
    CutSet.from_cuts(made).to_file(directory / "logmel.jsonl.gz")
    return directory / "logmel.jsonl.gz", folds, gender


def trained(cuts: Path, folds: Path, output: Path, *settings: str, **given: Path) -> Path:
    systems = load_system(overrides=[*QUICK, *settings], given=given)
    return train_run(Experiment(systems, read_folds(folds), output, (cuts,)), "Session1", 1)


@pytest.fixture(scope="module")
def source(corpus: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment on gender."""
    cuts, _, gender = corpus
    return trained(cuts, gender, tmp_path_factory.mktemp("source") / "gender", "training.epochs=1").parents[1]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(str(run / "checkpoint/model.safetensors"))


def history(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def test_linear_only_really_freezes(corpus: tuple[Path, Path, Path], source: Path, tmp_path: Path) -> None:
    cuts, folds, _ = corpus
    place = source / "fold_FOLD/seed_SEED/checkpoint"
    run = trained(cuts, folds, tmp_path / "linear", *LINEAR, source=place)
    before, after = weights(source / "fold_Session1/seed_1"), weights(run)
    assert after["head.bias"].shape == (3,)
    for name, value in before.items():
        if not name.startswith("head."):
            # statistics of batch norm among them
            assert torch.equal(value, after[name]) == (not name.startswith("fc1.")), name
    distances = history(run)[-1]
    assert distances["distance/conv_block2.conv2.weight"] == 0.0
    assert distances["distance/bn0.running_var"] == 0.0
    assert min(distances["distance/fc1.weight"], distances["distance/head.weight"]) > 0.0
    # with all layers the same start moves
    everything = trained(cuts, folds, tmp_path / "all", "transfer.start=source", "test_curve=true", source=place)
    for name in ("conv_block1.conv1.weight", "bn0.running_mean", "bn0.running_var"):
        assert history(everything)[0][f"distance/{name}"] > 0.0
    rows = [line.split(",") for line in (everything / "layer_distances.csv").read_text().splitlines()[1:]]
    assert {row[0] for row in rows} == {"best", "last"}
    best = json.loads((everything / "checkpoint/info.json").read_text())["best_epoch"]
    told = {(row[0], row[2]): float(row[3]) for row in rows}
    for which, entry in (("best", history(everything)[best - 1]), ("last", history(everything)[-1])):
        assert told[which, "fc1.weight"] == pytest.approx(entry["distance/fc1.weight"], rel=1e-8)
    evaluate(everything.parents[1], tmp_path / "results")
    results = json.loads((tmp_path / "results/results.json").read_text())
    assert [row["epoch"] for row in results["epochs"]] == [1, 2]
    assert {row["layer"] for row in results["layers"]} >= {"fc1.weight", "conv_block1.conv1.weight"}
    text = (tmp_path / "results/results.txt").read_text()
    for words in ("no epoch was chosen by it", "conv_block2.conv1"):
        assert words in text
    # the curve is of the same epochs' weights as the table
    table = read_predictions(everything / "predictions.csv").select(part="test")
    recalls = [(table.outputs.argmax(1) == k)[table.labels == k].mean() for k in range(3)]
    assert history(everything)[best - 1]["test/ua"] == pytest.approx(np.mean(recalls))


def test_same_seed_same_numbers(corpus: tuple[Path, Path, Path], tmp_path: Path) -> None:
    cuts, folds, _ = corpus
    one, two = (trained(cuts, folds, tmp_path / name, "data.memory_gb=1") for name in "ab")
    other = trained(cuts, folds, tmp_path / "c")  # from memory
    table = (one / "predictions.csv").read_text()
    assert table == (two / "predictions.csv").read_text() == (other / "predictions.csv").read_text()


def test_a_number_as_target(corpus: tuple[Path, Path, Path]) -> None:
    utterances = made(8)
    target = Target("arousal", "number", low=1, high=7)
    with pytest.raises(UserError, match="arousal has no classes"):
        Cnn14Task(
            Cnn14SystemConfig(**small()), target, utterances, utterances, seed=1, device="cpu", start=None,
            group=SINGLE,
        )  # fmt: skip
    config = Cnn14SystemConfig(**small(data=Cnn14DataConfig(crop_frames=6, class_weights="none")))
    task = Cnn14Task(config, target, utterances, utterances, seed=1, device="cpu", start=None, group=SINGLE)
    labels = torch.tensor([float(u.label) for u in utterances])
    assert float(task.model.head.bias) == pytest.approx(float(labels.mean()))
    loss, weight = task.loss(next(task.batches(1, 0)))
    assert weight == 8
    assert 0.0 < float(loss) <= 2.0
    assert {"dev_ccc", "dev_loss"} <= set(task.evaluate())


def made(count: int) -> list[Utterance]:
    torch.manual_seed(0)
    return [Utterance(f"u{n}", "s", "c", torch.randn(3 + n, 4), n % 3) for n in range(count)]


def small(**more: object) -> dict[str, object]:
    config = load_system(overrides=[*QUICK]).config
    return {"model": config.model, "data": config.data} | more


def test_the_loss_is_torchs_weighted_mean() -> None:
    utterances = made(7)
    task = Cnn14Task(
        Cnn14SystemConfig(**small()), Target("e", classes=("a", "b", "c")), utterances, utterances,
        seed=1, device="cpu", start=None, group=SINGLE,
    )  # fmt: skip
    # a part of them, in which the weights' mean is not 1
    batch = crops(utterances[:5], 6, torch.Generator().manual_seed(0))
    labels = torch.tensor([u.label for u in batch.utterances])
    outputs = task.model(batch.features)
    frequency = torch.tensor([3.0, 2.0, 2.0])
    each = F.cross_entropy(outputs, labels, reduction="none") / frequency[labels]
    loss, _ = task.loss(batch)
    assert float(loss) == pytest.approx(float(each.sum() / (1 / frequency[labels]).sum()), rel=1e-5)
    with pytest.raises(UserError, match="batch norm is of whole batches"):
        Cnn14Task(
            task.config, task.target, utterances, utterances, seed=1, device="cpu", start=None, group=Group(size=2)
        )


def test_what_batches_hold() -> None:
    utterances = made(8)
    batch = crops(utterances, 6, torch.Generator().manual_seed(0))
    assert batch.features.shape == (8, 6, 4)
    assert SILENCE == -100.0
    assert batch.features[0, 3:].eq(SILENCE).all()
    for row, utterance in zip(batch.features, utterances, strict=True):
        kept = row[: len(utterance.features)]
        places = range(max(1, len(utterance.features) - 5))
        assert any(torch.equal(kept, utterance.features[p : p + len(kept)]) for p in places)
    starts = set()
    for seed in range(20):
        last = crops(utterances, 6, torch.Generator().manual_seed(seed)).features[-1]
        starts.add(next(p for p in range(5) if torch.equal(last, utterances[-1].features[p : p + 6])))
    assert starts == set(range(5))


def test_scores_do_not_depend_on_the_batch() -> None:
    utterances = made(8)
    config = Cnn14SystemConfig(**small())
    task = Cnn14Task(
        config, Target("e", classes=("a", "b", "c")), utterances, utterances, seed=1, device="cpu", start=None,
        group=SINGLE,
    )  # fmt: skip
    model = task.model.eval()

    def scores(eval_frames: int) -> Iterator[tuple[str, torch.Tensor]]:
        for batch in whole(utterances, 6, eval_frames):
            yield from zip((u.id for u in batch.utterances), model(batch.features, batch.lengths), strict=True)

    alone, together = dict(scores(1)), dict(scores(1000))
    assert sorted(alone) == sorted(together) == [u.id for u in utterances]
    for name, value in alone.items():
        assert torch.allclose(value, together[name], rtol=1e-5, atol=1e-6)


def test_what_does_not_fit_is_refused(corpus: tuple[Path, Path, Path], source: Path, tmp_path: Path) -> None:
    cuts, folds, _ = corpus
    place = source / "fold_FOLD/seed_SEED/checkpoint"
    assert load_source(source / "fold_Session1/seed_1/checkpoint").left_out == ("head.bias", "head.weight")
    for settings, given, message in (
        (LINEAR, {}, "needs --source"),
        (("model.width=3", *LINEAR), {"source": place}, "do not fit the configuration"),
        ((), {"source": place}, "takes no --source"),
        (("model.num_mel_bins=8",), {}, "has 4 bands, and the network takes 8"),
        (("transfer.train=linear",), {}, "random convolutions must learn"),
        (("training.select_by=test/ua",), {}, "must be a dev score"),
        (("transfer.start=audioset",), {"audioset": cuts}, "logmel.jsonl.gz"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            trained(cuts, folds, tmp_path / "x", *settings, **given)


def test_an_epoch_goes_on_where_it_stopped() -> None:
    utterances = made(9)
    config = Cnn14SystemConfig(**small(data=Cnn14DataConfig(batch_size=2, crop_frames=6)))
    task = Cnn14Task(
        config, Target("e", classes=("a", "b", "c")), utterances, utterances, seed=1, device="cpu", start=None,
        group=SINGLE,
    )  # fmt: skip
    everything = list(task.batches(2, 0))
    assert len(everything) == task.num_batches(2) == 5
    assert sorted(u.id for batch in everything for u in batch.utterances) == [u.id for u in utterances]
    for whole_one, rest in zip(everything[3:], task.batches(2, 3), strict=True):
        assert torch.equal(whole_one.features, rest.features)
    other = [u.id for batch in task.batches(3, 0) for u in batch.utterances]
    assert other != [u.id for batch in everything for u in batch.utterances]
