"""A Cnn14 as a network for other programs: TorchScript or ONNX, from log-mel spectra to probabilities."""

import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sertools.emotion.cnn14.batches import SILENCE
from sertools.emotion.cnn14.system import Cnn14System
from sertools.evaluation.stats.calibration import apply_temperature
from sertools.features.origin import kinds_of
from sertools.files import replacing, write_json
from sertools.models.cnn14 import Cnn14
from sertools.prediction.exportable import ExportableEnsemble
from sertools.prediction.exported_file import check_difference, open_written, write_onnx
from sertools.training.checkpoint import load_checkpoint
from sertools.training.run import CHECKPOINT

MORE = (0, 1, 7, 200)
"""Frames beyond the fewest, of spectra on which an export is tried."""
INPUT = "features"


class Calibrated(nn.Module):
    """Probabilities (1, C), or a value (1, 1), of log-mel spectra (1, T, F), T no less than the fewest frames.

    Args:
        network: trained.
        temperature: of its probabilities; None for as they are.
        number: it predicts a number.
    """

    def __init__(self, network: Cnn14, temperature: float | None, number: bool) -> None:
        super().__init__()
        self.network = network
        # p ** (1 / T), divided by the sum, is a softmax of scores / T
        self.scale = 1.0 if temperature is None else 1.0 / temperature
        self.number = number

    def forward(self, features: Tensor) -> Tensor:
        """See above."""
        outputs: Tensor = self.network(features)
        return outputs if self.number else torch.softmax(outputs * self.scale, 1)


class Cnn14Ensemble(ExportableEnsemble):
    """Runs of S5's systems, which can be exported."""

    def export(self, output: Path, *, check: bool) -> tuple[str, float | None]:
        """Write it and what it is as ``.json`` beside it; see :mod:`sertools.prediction.export`.

        Raises:
            UserError: what was written gives other outputs.
        """
        ((name, run),) = self._runs.items()
        (temperature,) = self.temperatures
        system = self.branches[0].system
        assert isinstance(system, Cnn14System)
        network = system.network(run, self.target).eval()
        shortest = system.config.data.crop_frames
        number = self.target.kind == "number"
        whole, called = Calibrated(network, temperature, number).eval(), "value" if number else "probabilities"
        onnx, difference = output.suffix == ".onnx", None
        with replacing(output) as temporary:
            _write(whole, (_example(network, shortest),), temporary, onnx, called)
            if check or not onnx:
                difference = _difference(network, temperature, shortest, temporary, onnx, number)
                check_difference(output, difference, name)
        shape = f"{INPUT} [1, frames, {network.config.num_mel_bins}]"
        info = load_checkpoint(run / CHECKPOINT).info
        about = {
            "target": asdict(self.target), "classes": list(self.target.classes), "inputs": shape,
            "output": f"{called} [1, {self.target.num_outputs}]",
            "logmel": kinds_of(info.get("features")).get("logmel"), "fewest_frames": shortest,
            "shorter": f"pad what is shorter with {SILENCE:g} dB at its end", "member": name,
            "temperature": temperature, "largest_difference": difference,
        }  # fmt: skip
        write_json(output.with_suffix(".json"), about)
        return f"{shape} to {called} [1, {self.target.num_outputs}]", difference


def _example(network: Cnn14, frames: int) -> Tensor:
    generator = torch.Generator().manual_seed(frames)
    return 20 * torch.randn(1, frames, network.config.num_mel_bins, generator=generator) - 40


def _write(network: nn.Module, example: tuple[Tensor, ...], path: Path, onnx: bool, called: str) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that checks of shapes are those of the example
        if onnx:
            write_onnx(network, example, path, [INPUT], called)
        else:
            torch.jit.save(torch.jit.trace(network, example, check_trace=False), str(path))


@torch.no_grad()
def _difference(
    network: Cnn14, temperature: float | None, shortest: int, path: Path, onnx: bool, number: bool
) -> float:
    """Largest difference of an output to the trained network's, by what is in the file."""
    run = open_written(path, onnx, [INPUT])
    largest = 0.0
    for more in MORE:
        features = _example(network, shortest + more)
        outputs = network(features).double()
        expected = outputs.numpy() if number else torch.softmax(outputs, 1).numpy()
        if temperature is not None:
            expected = apply_temperature(expected, temperature)
        # NaN must not pass for small
        largest = float(np.maximum(largest, np.abs(run((features,)) - expected).max()))
    return largest
