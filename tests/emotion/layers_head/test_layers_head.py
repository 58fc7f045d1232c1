"""Heads on hidden layers: the sum and pooling against a loop, and as a system."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lhotse import CutSet
from vector_corpus import DIM, make_vector_corpus

from sertools.emotion.experiment import Experiment, train_run
from sertools.emotion.kinds import load_system
from sertools.emotion.layers_head.config import LayersConfig, LayersModelConfig
from sertools.emotion.layers_head.network import LayersHead
from sertools.errors import UserError
from sertools.features.access import read
from sertools.features.arrays import ArraysWriter
from sertools.features.maker import Archive
from sertools.manifests import read_cuts
from sertools.partitions.folds import read_folds
from sertools.runs.predictions import read_predictions


@pytest.mark.parametrize("scale", ["none", "standardise", "layer_norm"])
@pytest.mark.parametrize("pooling", ["mean", "statistics", "attention"])
def test_frames_against_one_utterance_at_a_time(scale: str, pooling: str) -> None:
    torch.manual_seed(0)
    model = LayersModelConfig(scale=scale, pooling=pooling, head_dim=0, attention_dim=5)  # type: ignore[arg-type]
    head = LayersHead(LayersConfig(stored="frames", model=model), 3, 4, 2).eval()
    mean, std = torch.randn(12), torch.rand(12) + 0.5
    head.standardise(mean, std)
    with torch.no_grad():
        head.weights.logits.copy_(torch.tensor([0.3, -1.0, 2.0]))
    x, lengths = torch.randn(2, 7, 12), torch.tensor([7, 5])
    found, rows = head(x, lengths)
    assert rows.tolist() == [1, 1]
    weights = torch.tensor([0.3, -1.0, 2.0]).exp()
    weights /= weights.sum()
    for number, length in enumerate(lengths.tolist()):
        summed = torch.zeros(length, 4)
        for layer in range(3):
            part = slice(4 * layer, 4 * layer + 4)
            one = x[number, :length, part]
            if scale == "standardise":
                one = (one - mean[part]) / std[part]
            elif scale == "layer_norm":
                one = (one - one.mean(1, keepdim=True)) / (one.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
            summed += weights[layer] * one
        if pooling == "attention":
            assert head.attention is not None
            pooled = (torch.softmax(head.attention(summed)[:, 0], 0)[:, None] * summed).sum(0)
        else:
            pooled = torch.cat([summed.mean(0), summed.std(0, unbiased=False)])[: 4 if pooling == "mean" else 8]
        expected = F.log_softmax(head.output(pooled), 0)
        assert torch.allclose(found[number, 0], expected, atol=1e-5)


def test_stored_statistics_are_those_of_frames_for_one_layer() -> None:
    torch.manual_seed(0)
    frames = torch.randn(2, 6, 4)
    stored = torch.cat([frames.mean(1), frames.std(1, unbiased=False)], 1)[:, None]
    for pooling in ("mean", "statistics"):
        model = LayersModelConfig(layers=(2,), scale="none", pooling=pooling, head_dim=3)  # type: ignore[arg-type]
        one = LayersHead(LayersConfig(stored="frames", model=model), 1, 4, 2).eval()
        other = LayersHead(LayersConfig(stored="statistics", model=model), 1, 8, 2).eval()
        own = {name: value for name, value in one.state_dict().items() if not name.startswith("input")}
        other.load_state_dict(own, strict=False)
        found = one(frames, torch.tensor([6, 6]))[0]
        assert torch.allclose(found, other(stored, torch.tensor([1, 1]))[0], atol=1e-5)


def test_layer_norm_of_stored_statistics_is_of_means_and_of_deviations() -> None:
    model = LayersModelConfig(scale="layer_norm", head_dim=0)
    head = LayersHead(LayersConfig(model=model), 2, 6, 2)
    x = torch.randn(3, 1, 12) * 5
    expected = sum(0.5 * F.layer_norm(x.view(3, 1, 2, 2, 3)[:, :, layer], (3,)).flatten(2) for layer in range(2))
    assert torch.allclose(head.summed(x), expected, atol=1e-6)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Cuts with three layers of statistics under ``ssl``, of which the second tells the class; and folds."""
    directory = tmp_path_factory.mktemp("layers")
    cuts, folds, _ = make_vector_corpus(directory)
    generator = np.random.default_rng(1)
    made = []
    path = directory / "layers.bin"
    with open(path, "wb") as stream:
        archive = Archive(ArraysWriter(stream, "float32"), path)
        for cut in read_cuts(cuts):
            told = read(cut, "functionals").numpy()
            layers = generator.normal(size=(3, 1, DIM)).astype(np.float32)
            layers[1] = told
            made.append(archive.with_array(cut, "ssl", layers))
    CutSet.from_cuts(made).to_file(directory / "layers.jsonl.gz")
    return directory / "layers.jsonl.gz", folds


QUICK = ("system=layers_head", "model.head_dim=0", "training.epochs=12", "training.learning_rate=0.03",
         "training.final_learning_rate=0.01")  # fmt: skip


def trained(corpus: tuple[Path, Path], output: Path, *settings: str) -> tuple[Path, float]:
    """A run, and the part of its test utterances that it recognises."""
    cuts, folds = corpus
    maker = load_system(overrides=[*QUICK, *settings])
    run = train_run(Experiment(maker, read_folds(folds), output, (cuts,)), "Session1", 1)
    table = read_predictions(run / "predictions.csv").select(part="test")
    return run, float((table.outputs.argmax(1) == table.labels).mean())


def test_the_sum_finds_the_layer_that_tells(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    run, right = trained(corpus, tmp_path / "sum")
    assert right > 0.5
    rows = [line.split(",") for line in (run / "layer_weights.csv").read_text().splitlines()[1:]]
    weights = {int(layer): float(weight) for layer, weight in rows}
    assert sum(weights.values()) == pytest.approx(1, abs=1e-5)
    assert max(weights, key=weights.__getitem__) == 1
    _, alone = trained(corpus, tmp_path / "one", "model.layers=[1]")
    _, other = trained(corpus, tmp_path / "two", "model.layers=[2]")
    assert alone > 0.6 > other


def test_what_does_not_fit_is_refused(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    for setting, message in (("model.layers=[3]", "layers 0 to 2"), ("stored=frames", "stored is frames"),
                             ("features=functionals", "has no layers")):  # fmt: skip
        with pytest.raises(UserError, match=message):
            trained(corpus, tmp_path / "x", setting)
    with pytest.raises(UserError, match="attention needs frames"):
        load_system(overrides=[*QUICK, "model.pooling=attention"])
