"""Real files of torch.save, of this torch: the same tensors, without its unpickler."""

import argparse
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from sertools.errors import UserError
from sertools.foreign.convert import SAFE, convert

FORMATS = {"zip": True, "before torch 1.6": False}


def save(path: Path, content: Any, new: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=new)
    return path


def same(tensors: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert tensors[name].dtype == tensor.dtype
        torch.testing.assert_close(tensors[name], tensor.detach(), rtol=0, atol=0)


class Cnn(nn.Module):
    """Some of Cnn14's layers, small."""

    def __init__(self) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(4)
        self.conv_block1 = nn.ModuleDict({"conv1": nn.Conv2d(1, 2, 3, bias=False), "bn1": nn.BatchNorm2d(2)})
        self.fc_audioset = nn.Linear(8, 5)


@pytest.mark.parametrize("new", FORMATS.values(), ids=FORMATS)
def test_state_dict(tmp_path: Path, new: bool) -> None:
    state = Cnn().state_dict()
    assert state._metadata  # the attribute that pickles as BUILD
    path = save(tmp_path / "m.pt", state, new)
    converted = convert(path, tmp_path / "m.safetensors")
    same(converted.tensors, dict(state))
    same(load_file(tmp_path / "m.safetensors"), dict(state))


@pytest.mark.parametrize("new", FORMATS.values(), ids=FORMATS)
def test_every_dtype(tmp_path: Path, new: bool) -> None:
    tensors = {name: torch.arange(6).reshape(2, 3).to(getattr(torch, name)) for name in SAFE}
    path = save(tmp_path / "m.pt", tensors, new)
    same(convert(path, tmp_path / "m.safetensors").tensors, tensors)


@pytest.mark.parametrize("new", FORMATS.values(), ids=FORMATS)
def test_views_and_shared_storages(tmp_path: Path, new: bool) -> None:
    base = torch.randn(5, 7)
    tensors = {
        "base": base, "row": base[2], "transposed": base.t(), "strided": base[::2, 1::3], "again": base,
        "expanded": base[:, :1].expand(5, 4), "scalar": base[1, 1], "empty": base[:0], "none": torch.empty(0, 3),
    }  # fmt: skip
    path = save(tmp_path / "m.pt", tensors, new)
    same(convert(path, tmp_path / "m.safetensors").tensors, tensors)


@pytest.mark.parametrize("new", FORMATS.values(), ids=FORMATS)
def test_nested_with_parameters_and_plain_values(tmp_path: Path, new: bool) -> None:
    parameter = nn.Parameter(torch.randn(3))
    content = {
        "epoch": 7, "loss": 0.25, "best": float("nan"), "name": 'a "name" $(x)\n', "done": True, "nothing": None,
        "size": torch.Size([2, 3]), "betas": (0.9, 0.999), "dtype": torch.float16, "where": torch.device("cuda:1"),
        "net": OrderedDict(a=OrderedDict(w=parameter), b=[torch.ones(2), {"c": torch.zeros(1)}]), 3: torch.ones(1),
    }  # fmt: skip
    path = save(tmp_path / "m.ckpt", content, new)
    converted = convert(path, tmp_path / "m.safetensors")
    expected = {"net.a.w": parameter, "net.b.0": torch.ones(2), "net.b.1.c": torch.zeros(1), "3": torch.ones(1)}
    same(converted.tensors, expected)
    record = json.loads((tmp_path / "m.json").read_text())
    assert record["values"] == {
        "epoch": 7, "loss": 0.25, "best": "nan", "name": 'a "name" $(x)\n', "done": True, "nothing": None,
        "size": [2, 3], "betas": [0.9, 0.999], "dtype": "torch.float16", "where": "cuda:1", "net": {"a": {}, "b": [{}]},
    }  # fmt: skip
    assert (record["source"], record["key"]) == ("m.ckpt", [])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(tmp_path: Path, protocol: int) -> None:
    state = {"w": torch.randn(4), "nested": {"long": "x" * 1000}}
    torch.save(state, tmp_path / "m.pt", pickle_protocol=protocol)
    same(convert(tmp_path / "m.pt", tmp_path / "m.safetensors").tensors, {"w": state["w"]})


def cnn14(path: Path) -> dict[str, torch.Tensor]:
    """A miniature in the layout of Cnn14_16k_mAP=0.438.pth: iteration, model, and a sampler of numpy arrays."""
    model = {
        "spectrogram_extractor.stft.conv_real.weight": torch.randn(5, 1, 8),
        "spectrogram_extractor.stft.conv_imag.weight": torch.randn(5, 1, 8),
        "logmel_extractor.melW": torch.randn(5, 4),
        **{f"bn0.{name}": torch.randn(4) for name in ("weight", "bias", "running_mean", "running_var")},
        "bn0.num_batches_tracked": torch.tensor(600_000),
        "conv_block1.conv1.weight": torch.randn(2, 1, 3, 3),
        "fc_audioset.weight": torch.randn(7, 6),
    }
    sampler = {"indexes_per_class": [np.arange(3), np.arange(2)], "queue": np.random.RandomState(0), "pointer": 4}
    save(path, {"iteration": 600_000, "model": OrderedDict(model), "sampler": sampler})
    return model


def test_cnn14s_layout(tmp_path: Path) -> None:
    model = cnn14(tmp_path / "Cnn14.pth")
    with pytest.raises(
        UserError, match=r"(?s)Cnn14.pth is not converted.*sampler.*numpy.*--key 'model' \(10 tensors\)"
    ):
        convert(tmp_path / "Cnn14.pth", tmp_path / "cnn14.safetensors")
    assert not (tmp_path / "cnn14.safetensors").exists()
    converted = convert(tmp_path / "Cnn14.pth", tmp_path / "cnn14.safetensors", ("model",))
    same(converted.tensors, model)


def test_optimizer_and_arguments_are_left_out_by_key(tmp_path: Path) -> None:
    net = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    content = {
        "args": argparse.Namespace(lr=0.1), "optimizer": optimizer.state_dict(), "all": {"net": net.state_dict()},
        "path": Path("/x"),
    }  # fmt: skip
    path = save(tmp_path / "m.pt", content)
    with pytest.raises(UserError) as caught:
        convert(path, tmp_path / "m.safetensors")
    for words in ("'args': argparse.Namespace", "'path': pathlib.", "--key 'all' (2 tensors)", "--key 'optimizer'"):
        assert words in str(caught.value)
    same(convert(path, tmp_path / "m.safetensors", ("all", "net")).tensors, dict(net.state_dict()))
    # an optimizer's state is tensors and numbers, so it can be had too
    assert "state.0.exp_avg" in convert(path, tmp_path / "o.safetensors", ("optimizer",)).tensors


def test_whole_model_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "m.pt", nn.Linear(2, 2))
    with pytest.raises(UserError, match=r"everything: torch.nn.modules.linear.Linear"):
        convert(tmp_path / "m.pt", tmp_path / "m.safetensors")


def test_what_the_user_gets_wrong(tmp_path: Path) -> None:
    path = save(tmp_path / "m.pt", {"net": {"w": torch.ones(1)}, "epoch": 3})

    def refused(message: str, *keys: str, file: Path = path, output: str = "m.safetensors") -> None:
        with pytest.raises(UserError, match=message):
            convert(file, tmp_path / output, keys)

    refused(r"no key 'model'; there is net, epoch", "model")
    refused(r"no key 'w2' in net; there is w", "net", "w2")
    refused(r"no tensors in epoch; --key 'net' \(1 tensors\)", "epoch")
    refused(r"called .safetensors", output="m.pt")
    refused(r"there is no file", file=tmp_path / "gone.pt")
    (tmp_path / "text.pt").write_text("hello")
    refused(r"is not a file of torch.save", file=tmp_path / "text.pt")
    (tmp_path / "half.pt").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(r"half.pt is damaged", file=tmp_path / "half.pt")
    flipped = bytearray(path.read_bytes())
    flipped[flipped.index(torch.ones(1).numpy().tobytes()) + 1] ^= 1
    (tmp_path / "flipped.pt").write_bytes(flipped)
    refused(r"flipped.pt: net.w is damaged", file=tmp_path / "flipped.pt")
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "script.pt")
    refused(r"TorchScript", file=tmp_path / "script.pt")
    save(tmp_path / "same.pt", {"a.b": torch.ones(1), "a": {"b": torch.ones(1)}})
    refused(r"two tensors are called 'a.b'", file=tmp_path / "same.pt")
    save(tmp_path / "complex.pt", torch.ones(1, dtype=torch.complex64))
    refused(r"is complex64, which is not written", file=tmp_path / "complex.pt")


@pytest.mark.parametrize("name", ["torch-1.13.1", "torch-1.13.1-legacy", "torch-2.13.0", "torch-2.13.0-legacy"])
def test_files_of_other_versions(tmp_path: Path, name: str) -> None:
    """Written by these versions of torch; each has to be read by any."""
    path = Path(__file__).parent / "data" / f"{name}.pt"
    tensors = convert(path, tmp_path / "m.safetensors", ("model",)).tensors
    same(tensors, {
        "weight": torch.tensor([[4.0, 6.0], [8.0, 10.0]]), "half": torch.arange(4).half(),
        "brain": torch.arange(4).bfloat16(), "steps": torch.tensor(7), "mask": torch.tensor([True, False]),
    })  # fmt: skip
