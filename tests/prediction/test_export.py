"""A run as TorchScript and ONNX gives the numbers of the system, for utterances of any length."""

import copy
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sertools.emotion.tdnn import export
from sertools.emotion.tdnn.exported_network import ExportedNetwork
from sertools.emotion.tdnn.members import Branch, Member, TdnnRuns
from sertools.emotion.tdnn.recognition import TdnnEnsemble
from sertools.errors import MissingPackage, UserError
from sertools.features.frames.mfcc import MfccConfig
from sertools.models.emotion import EmotionModelConfig, make_head
from sertools.models.tdnnf import Tdnnf, TdnnfConfig
from sertools.partitions.target import Target
from sertools.prediction import export as exporting
from sertools.prediction.export import export_member
from sertools.prediction.exported_file import write_onnx

TRUNK = TdnnfConfig(feature_dim=6, hidden_dim=16, bottleneck_dim=8, prefinal_dim=8, strides=(0, 1, 1, 0, 3, 3))


CLASSES = Target("emotion", classes=("a", "b", "c"))
NUMBER = Target("arousal", "number", low=1.0, high=5.0)


def system(
    trunk: TdnnfConfig = TRUNK, temperature: float | None = 1.7, target: Target = CLASSES, **options: object
) -> TdnnRuns:
    """A network with random weights, with statistics as after training."""
    torch.manual_seed(1)
    config = EmotionModelConfig(trunk, **{"layers": ("tdnnf5",), "head_dim": 8, **options})  # type: ignore[arg-type]
    network, head = Tdnnf(trunk), make_head(config, trunk, target.num_outputs, target.kind == "number")
    dim = trunk.feature_dim + trunk.ivector_dim
    network.set_input_statistics(torch.randn(dim), 5 + torch.rand(dim))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0.5, 0.1)
            module.running_var.uniform_(0.2, 0.5)
    head.standardise(torch.randn(head.input_mean.shape) * 0.1, torch.full(head.input_mean.shape, 0.5))
    if target.kind == "number":
        head.scale_outputs(3.1, 0.8)
    branch = Branch(network.eval(), (Member("fold_a/seed_1", head.eval(), temperature),), None)
    return TdnnRuns(target, config, "none", MfccConfig(), (branch,))


VARIANTS = [
    system(),
    system(temperature=None, pooling="statistics", head_dim=0),
    system(aggregate="log_probabilities", layers=("tdnn1", "tdnnf2")),
    system(layers=("prefinal", "tdnnf3"), pooling="statistics"),
    system(replace(TRUNK, ivector_dim=4)),
    system(replace(TRUNK, strides=(0, 3, 3), splice=2), layers=("tdnnf2",)),
    system(replace(TRUNK, subsampling=1, strides=(0, 2)), layers=("prefinal",)),
    system(temperature=None, target=NUMBER),
    system(temperature=None, target=NUMBER, pooling="statistics"),
    system(layers=("prefinal",), pooling="dynamics"),
]


@pytest.mark.parametrize("number", range(len(VARIANTS)))
def test_torchscript_is_the_system(tmp_path: Path, number: int) -> None:
    found = VARIANTS[number]
    torch.jit.save(torch.jit.script(ExportedNetwork(found).eval()), str(tmp_path / "a.pt"))
    assert export._difference(found, tmp_path / "a.pt", onnx=False) < 1e-5
    other = replace(found.members[0], temperature=3.0)
    if found.target == NUMBER:
        other = replace(other, head=copy.deepcopy(other.head))
        other.head.scale_outputs(3.2, 0.8)
    changed = replace(found, branches=(replace(found.branches[0], members=(other,)),))
    assert export._difference(changed, tmp_path / "a.pt", onnx=False) > 1e-3, "the comparison must be able to fail"


@pytest.mark.parametrize("number", range(len(VARIANTS)))
def test_onnx(tmp_path: Path, number: int) -> None:
    """What makes the graph of an ONNX file: a trace, which must not depend on the length it was made with."""
    found = VARIANTS[number]
    if importlib.util.find_spec("onnxruntime") is not None:
        names, example = list(export._inputs(found)), export._example(found, 100)
        write_onnx(ExportedNetwork(found).eval(), example, tmp_path / "a.onnx", names, export._output(found))
        assert export._difference(found, tmp_path / "a.onnx", onnx=True) < 1e-5
        return
    traced = torch.jit.trace(ExportedNetwork(found).eval(), export._example(found, 100), check_trace=False)
    torch.jit.save(traced, str(tmp_path / "a.pt"))
    assert export._difference(found, tmp_path / "a.pt", onnx=False) < 1e-5


def use(monkeypatch: pytest.MonkeyPatch, found: TdnnRuns) -> None:
    monkeypatch.setattr(exporting, "find_runs", lambda *arguments: {"fold_a/seed_1": Path("run")})
    monkeypatch.setattr(exporting, "load_runs", lambda *arguments, **options: TdnnEnsemble(found))


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, VARIANTS[4])
    exported = export_member("exp", tmp_path / "net.pt")
    assert exported.difference is not None
    assert exported.difference < 1e-5
    about = json.loads((tmp_path / "net.json").read_text())
    assert about["classes"] == ["a", "b", "c"]
    assert about["inputs"] == {"features": "[1, frames, 6]", "lengths": "[1]", "ivectors": "[1, 4]"}
    assert about["mfcc"]["num_ceps"] == 40
    network = torch.jit.load(str(tmp_path / "net.pt"))
    with torch.no_grad():
        probabilities = network(torch.randn(1, 50, 6), torch.tensor([50]), torch.randn(1, 4))
    assert probabilities.shape == (1, 3)
    assert float(probabilities.sum()) == pytest.approx(1.0)


def test_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, VARIANTS[0])
    with pytest.raises(UserError, match=r"must end in \.pt"):
        export_member("exp", tmp_path / "net.bin")
    monkeypatch.setattr(export, "_expected", lambda *arguments: np.full((1, 3), 1 / 3))
    with pytest.raises(UserError, match="was not kept: its outputs differ by"):
        export_member("exp", tmp_path / "net.pt")
    assert list(tmp_path.iterdir()) == []
    use(monkeypatch, replace(VARIANTS[0], normalised="reading"))
    with pytest.raises(UserError, match="export an experiment with normalise: none"):
        export_member("exp", tmp_path / "net.pt")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="onnxruntime"):
        export_member("exp", tmp_path / "net.onnx")
