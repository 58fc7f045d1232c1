"""I-vectors on a (fake) CUDA device: extraction of every mode, and every step of training, as on the CPU."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from sertools.config import from_dict
from sertools.features.ivector.config import IvectorConfig
from sertools.features.ivector.extraction import ExtractionConfig, extract
from sertools.features.ivector.extractor import solve
from sertools.features.ivector.model import IvectorModel
from sertools.features.ivector.training import train_ivector
from sertools.training.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from fake_cuda import FakeCuda

CONFIG = from_dict(
    IvectorConfig,
    {
        "transform": {"dim": 8, "context": 1},
        "ubm": {"num_gaussians": 6, "init_iterations": 3, "iterations": 1, "num_frames": 400},
        "extractor": {"dim": 4, "iterations": 2, "gaussian_min_count": 2.0},
    },
)


@pytest.mark.parametrize("mode", ["online", "utterance", "speaker"])
def test_extraction(cuda: "FakeCuda", model: IvectorModel, speaker_of: Callable[..., list[Tensor]], mode: Any) -> None:
    config = ExtractionConfig(mode)
    expected, _ = extract(model, speaker_of(35, 21, 4), config)
    with cuda:
        found, state = extract(model, speaker_of(35, 21, 4), config, device="cuda:0")
        more, _ = extract(model, speaker_of(12), config, state, device="cuda:0")
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert len(more) == 1


def test_tables_are_copied_once(cuda: "FakeCuda", model: IvectorModel, speaker_of: Callable[..., list[Tensor]]) -> None:
    with cuda:
        extract(model, speaker_of(35), ExtractionConfig(), device="cuda:0")
        tables = model.extractor.tables_on("cuda:0")
        with cuda.counting() as found:
            extract(model, speaker_of(35), ExtractionConfig(), device="cuda:0")
        assert model.extractor.tables_on("cuda:0") is tables
    uploads = {where.rpartition(".")[2] for kind, where in found if kind == "upload"}
    assert not uploads & {"scorer", "tables_on", "to", "_on", "__call__"}


def test_a_system_without_solution_is_seen(cuda: "FakeCuda") -> None:
    good = torch.eye(3).repeat(2, 1, 1)
    bad = good.clone()
    bad[1, 2, 2] = -1.0
    for device, place in (("cuda:0", cuda), ("cpu", nullcontext())):
        with place:
            torch.testing.assert_close(
                solve(good.clone().to(device), torch.ones(2, 3).to(device)).cpu(), torch.ones(2, 3)
            )
            with pytest.raises(ArithmeticError, match="not positive definite"):
                solve(bad.clone().to(device), torch.ones(2, 3).to(device))


def test_training(cuda: "FakeCuda", noise_features: Path, tmp_path: Path) -> None:
    found = []
    for device, place in (("cuda:0", cuda), ("cpu", nullcontext())):
        with place:
            found.append(load_checkpoint(train_ivector(CONFIG, noise_features, tmp_path / device, device=device)))
    for name, value in found[0].weights.items():
        torch.testing.assert_close(value, found[1].weights[name], atol=1e-3, rtol=1e-3, msg=name)
