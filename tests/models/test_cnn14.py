"""Cnn14: what PANNs' own code computed, batches, freezing, and S5's layer-wise distances."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import nll_loss

from sertools.features.frames.logmel import Logmel, LogmelConfig
from sertools.models.cnn14 import DROPOUTS, Cnn14, Cnn14Config, _striped
from sertools.models.layer_distance import LayerDistance, layer_distances

SMALL = Cnn14Config(num_mel_bins=8, width=3, blocks=3, dropout="none")


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    path = shared / "reference" / "cnn14"
    if not path.is_dir():
        pytest.skip("no ../shared/reference/cnn14")
    return path


@pytest.fixture(scope="module")
def made(folder: Path) -> ModuleType:
    """The reference's deterministic weights and signals."""
    specification = importlib.util.spec_from_file_location("make_weights", folder / "make_weights.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    specification.loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def network_of(made: ModuleType, classes: int, head: str) -> Cnn14:
    """Of full size, with the reference's weights."""
    network = Cnn14(Cnn14Config(dropout="none"), classes)
    weights = made.weights(classes, head).items()
    state = {name.replace(f"{head}.", "head."): torch.from_numpy(np.array(value)) for name, value in weights}
    network.load_state_dict(state, strict=True)
    return network


def relative(ours: Tensor, theirs: Any) -> float:
    return float(np.linalg.norm(ours.numpy() - theirs) / np.linalg.norm(theirs))


@pytest.mark.shared
def test_outputs_are_those_of_panns(folder: Path, made: ModuleType) -> None:
    network = network_of(made, 527, "fc_audioset").eval()
    reference = np.load(folder / "cnn14_16k.npz")
    names = ("synthetic", "sad")
    features = [torch.from_numpy(reference[f"{name}_logmel"]) for name in names]
    lengths = torch.tensor([len(x) for x in features])
    with torch.no_grad():
        padded = torch.nn.utils.rnn.pad_sequence(features, batch_first=True, padding_value=7.0)
        embedding = network.embedding(padded, lengths)
        logits = network.head(embedding)
    for row, name in enumerate(names):
        # another processor sums in another order: 1.3e-6 was seen
        assert relative(embedding[row], reference[f"{name}_embedding"]) < 5e-6
        assert relative(logits[row], reference[f"{name}_logits"]) < 5e-6


def three_steps(network: Cnn14, made: ModuleType) -> tuple[list[float], list[LayerDistance]]:
    """The reference's training; losses before each step and after the last, distances."""
    starts = {name: value.clone() for name, value in network.state_dict().items()}
    chunks = [made.waveform(32000, f"train{k}")[1000 * k : 1000 * k + 16000] for k in range(8)]
    features = Logmel(LogmelConfig())(torch.from_numpy(np.stack(chunks)))
    targets, weights = torch.tensor([0, 1, 1, 1, 1, 2, 2, 1]), 1 / torch.tensor([0.09, 0.67, 0.24])
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-3, momentum=0.9, nesterov=True)
    network.train()
    losses = []
    for step in range(4):
        with torch.set_grad_enabled(step < 3):
            loss = nll_loss(network(features).log_softmax(1), targets, weight=weights)
        losses.append(float(loss))
        if step < 3:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return losses, layer_distances(starts, network.state_dict())  # after the fourth forward, as the reference's are


@pytest.mark.shared
@pytest.mark.skipif(torch.__version__ < "2", reason="80 million parameters: one environment is enough, the faster one")
@pytest.mark.parametrize("mode", ["all", "linear"])
def test_three_steps_are_those_of_panns(mode: str, folder: Path, made: ModuleType) -> None:
    reference = np.load(folder / "three_steps.npz")
    network = network_of(made, 3, "fc_arousal")
    if mode == "linear":
        network.freeze()
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert trained == {"all": 79_679_939, "linear": 4_202_499}[mode]
    losses, distances = three_steps(network, made)
    assert losses[0] == pytest.approx(reference[f"{mode}_losses"][0], rel=1e-5)
    assert losses == pytest.approx(reference[f"{mode}_losses"].tolist(), rel=1e-3)
    ours = {one.name.replace("head.", "fc_arousal."): one.distance for one in distances}
    assert list(ours) == reference[f"{mode}_names"].tolist()
    for name, expected in zip(ours, reference[f"{mode}_cosine_distance"].tolist(), strict=True):
        if mode == "linear" and not name.startswith(("fc1", "fc_")):
            assert ours[name] == 0.0
        else:
            assert ours[name] == pytest.approx(expected, rel=0.02, abs=1e-15), name


def small(num_outputs: int = 3, config: Cnn14Config = SMALL) -> Cnn14:
    """A small network whose statistics are not those of the start."""
    torch.manual_seed(1)
    network = Cnn14(config, num_outputs)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
            module.bias.data.uniform_(-1, 1)
    return network


def test_scores_do_not_depend_on_the_batch() -> None:
    network = small().eval()
    lengths = torch.tensor([4, 5, 7, 8, 13, 16, 19])
    features = torch.randn(7, 19, 8)
    with torch.no_grad():
        together = network(features, lengths)
        for row, length in enumerate(lengths.tolist()):
            assert torch.allclose(together[row], network(features[row : row + 1, :length])[0], atol=1e-6)
        without = network(features)
    assert not torch.allclose(together[0], without[0], atol=1e-3)  # padding counts where no length is given


def test_what_is_frozen_stays() -> None:
    network = small(config=Cnn14Config(8, 3, 3)).freeze()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    features = 5 + torch.randn(4, 8, 8)
    network.train()
    outputs = [network.pooled(features) for _ in range(2)]
    assert torch.equal(*outputs)  # nothing is dropped out
    for _ in range(2):
        optimizer.zero_grad()
        network(features).square().sum().backward()
        optimizer.step()
        network.eval()
        network.train()
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"fc1.weight", "fc1.bias", "head.weight", "head.bias"}
    assert network.fc1.training


def test_frozen_weights_with_statistics_that_move() -> None:
    """The other reading of "linear only": gradients alone are switched off."""
    network = small(config=Cnn14Config(8, 3, 3)).freeze(evaluation=False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    network(5 + torch.randn(4, 8, 8)).square().sum().backward()
    torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1).step()
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    statistics = {name for name in before if ".running_" in name or name.endswith("num_batches_tracked")}
    assert moved == statistics | {"fc1.weight", "fc1.bias", "head.weight", "head.bias"}


def test_stripes_hide_some_frames_and_bands_in_training_alone() -> None:
    torch.manual_seed(0)
    x = torch.ones(50, 1, 200, 64)
    hidden = _striped(x) == 0
    frames, bands = hidden.all(3)[:, 0].sum(1), hidden.all(2)[:, 0].sum(1)
    assert 0 < float(frames.float().mean()) < 2 * 63
    assert 0 < float(bands.float().mean()) < 2 * 7
    assert int(frames.max()) <= 126
    assert int(bands.max()) <= 14
    assert len({tuple(row) for row in hidden.all(3)[:, 0].int().tolist()}) > 40  # others for each utterance
    network = Cnn14(Cnn14Config(8, 3, 3, "none", spec_augment=True), 2)
    plain = Cnn14(Cnn14Config(8, 3, 3, "none"), 2)
    plain.load_state_dict(network.state_dict())
    features = torch.randn(4, 16, 8)
    assert torch.equal(network.eval()(features), plain.eval()(features))
    assert not torch.equal(network.train()(features), plain.train()(features))


def test_all_layers_learn() -> None:
    network = small()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    network(torch.randn(4, 8, 8)).square().sum().backward()
    torch.optim.SGD(network.parameters(), lr=0.1).step()
    distances = layer_distances(before, network.state_dict())
    kinds = {one.name: one.kind for one in distances}
    assert kinds["conv_block1.conv1.weight"] == "convolution"
    assert kinds["fc1.weight"] == "linear"
    assert kinds["fc1.bias"] == "bias"
    assert kinds["bn0.weight"] == kinds["conv_block2.bn1.bias"] == "batch norm"
    assert kinds["bn0.running_var"] == "statistics"
    assert all(one.distance > 0 for one in distances if one.kind in ("convolution", "linear"))


@pytest.mark.parametrize("name", ["s5", "panns", "none"])
def test_dropouts(name: Any) -> None:
    network = Cnn14(Cnn14Config(8, 3, 3, name), 2)
    after_block, before_fc1, on_embedding = DROPOUTS[name]
    assert [block.dropout.p for block in network.blocks()] == [after_block] * 3
    assert (network.pooled_dropout.p, network.embedding_dropout.p) == (before_fc1, on_embedding)
    assert DROPOUTS["s5"] == (0.2, 0.0, 0.0)
    assert DROPOUTS["panns"] == (0.2, 0.5, 0.5)
    network.train()
    features = torch.randn(8, 8, 8)
    outputs = [network(features) for _ in range(2)]
    assert torch.equal(*outputs) == (name == "none")


def test_mistakes() -> None:
    network = small()
    with pytest.raises(ValueError, match="3 frames; at least 4"):
        network(torch.zeros(1, 3, 8))
    with pytest.raises(ValueError, match="one length"):
        network(torch.zeros(2, 8, 8), torch.tensor([8, 7]))
    with pytest.raises(ValueError, match=r"\(N, T, 8\)"):
        network(torch.zeros(1, 8, 9))
    with pytest.raises(ValueError, match="bands"):
        Cnn14Config(num_mel_bins=8, blocks=5)
