"""PANNs' checkpoint of Cnn14, in small: the same make, both formats, and what is not it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sertools.errors import UserError
from sertools.features.frames.logmel import LogmelConfig, mel_filters
from sertools.foreign.panns import FRONT_END, load_panns
from sertools.models.cnn14 import Cnn14, Cnn14Config

CONFIG = Cnn14Config(width=2, blocks=3)


def model(window: int = 512) -> dict[str, Tensor]:
    """The part "model" of a network of another start than torch's."""
    state = {
        name.replace("head.", "fc_audioset."): 0.5 * value for name, value in Cnn14(CONFIG, 7).state_dict().items()
    }
    front = [torch.randn(window // 2 + 1, 1, window) for _ in range(2)]
    return {**dict(zip(FRONT_END, [*front, mel_filters(LogmelConfig())], strict=True)), **state}


def save(path: Path, content: Any, new: bool = True) -> Path:
    sampler = {"indexes_per_class": [np.arange(3)], "queue": np.random.RandomState(0), "pointer": 4}
    whole = {"iteration": 600_000, "model": content, "sampler": sampler}
    torch.save(whole, path, _use_new_zipfile_serialization=new)
    return path


@pytest.mark.parametrize("new", [True, False])
def test_all_but_front_end_and_head(new: bool, tmp_path: Path) -> None:
    tensors = model()
    panns = load_panns(save(tmp_path / "Cnn14.pth", tensors, new))
    assert panns.config == CONFIG
    assert panns.left_out == (*FRONT_END, "fc_audioset.weight", "fc_audioset.bias")
    assert "fc_audioset.bias" in panns.remark
    network = Cnn14(CONFIG, 3)
    assert panns.load_into(network) == ["head.weight", "head.bias"]
    for name, value in network.state_dict().items():
        assert name.startswith("head.") or torch.equal(value, tensors[name])
    whole = load_panns(tmp_path / "Cnn14.pth", keep_head=True)
    assert whole.load_into(Cnn14(CONFIG, 7)) == []
    with pytest.raises(UserError, match=r"does not fit the network at head"):
        whole.load_into(network)
    with pytest.raises(UserError, match="width 2, 3 blocks"):
        panns.load_into(Cnn14(Cnn14Config(width=4, blocks=3), 3))


@pytest.mark.parametrize(("window", "rate"), [(1024, "32000 Hz"), (256, "8000 Hz"), (100, "256, 512 or 1024")])
def test_other_variants(window: int, rate: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rate):
        load_panns(save(tmp_path / "Cnn14.pth", model(window)))


def test_what_is_changed_is_refused(tmp_path: Path) -> None:
    tensors = model()
    changes: list[tuple[dict[str, Tensor | None], str]] = [
        ({FRONT_END[0]: None}, "16 or 32 kHz"),
        ({"conv_block2.bn1.bias": None}, "lacks conv_block2.bn1.bias"),
        ({"conv_block2.extra": torch.ones(2)}, "has conv_block2.extra"),
        ({"fc1.weight": torch.ones(8, 4)}, "fc1.weight is"),
        ({"fc1.bias": torch.full((8,), torch.nan)}, "not finite"),
        ({"conv_block3.conv2.weight": torch.ones(1, 1, 3, 3)}, "last block"),
        ({FRONT_END[2]: 2 * tensors[FRONT_END[2]]}, "mel filters"),
        ({"fc1.weight": None}, "no checkpoint of Cnn14"),
    ]
    for change, words in changes:
        changed = {name: value for name, value in {**tensors, **change}.items() if value is not None}
        with pytest.raises(UserError, match=words):
            load_panns(save(tmp_path / "Cnn14.pth", changed))
