"""Networks for other programs, TorchScript or ONNX, traced with an example: written, compared, described."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sertools.evaluation.stats.calibration import apply_temperature
from sertools.files import replacing, write_json
from sertools.partitions.target import Target
from sertools.prediction.exported_file import check_difference, open_written, write_onnx


@dataclass(frozen=True)
class Input:
    """An input of an exported network.

    Attributes:
        name: of it.
        shape: for readers, ``[1, samples]``.
        counts: what its second dimension counts, of which there may be any number.
    """

    name: str
    shape: str
    counts: str


@dataclass(frozen=True)
class Export:
    """A network to write.

    Attributes:
        network: from inputs to scores (1, C) whose softmax is the posteriors, or a value (1, 1).
        inputs: of it.
        examples: on which what was written is compared; the first is traced.
        expected: the same by the modules that were trained.
        target: of the run.
        temperature: of its probabilities; None for as they are.
        member: name of the run.
        about: what a user of the file has to know besides.
    """

    network: nn.Module
    inputs: tuple[Input, ...]
    examples: Sequence[tuple[Tensor, ...]]
    expected: Callable[..., Tensor]
    target: Target
    temperature: float | None
    member: str
    about: Mapping[str, Any]

    @property
    def output(self) -> str:
        """Name of the output."""
        return "value" if self.target.kind == "number" else "probabilities"


class _Outputs(nn.Module):
    """Calibrated probabilities, or values."""

    def __init__(self, export: Export) -> None:
        super().__init__()
        self.network = export.network
        # scores over T, and a softmax: p ** (1 / T), divided by the sum
        self.scale = 1.0 if export.temperature is None else 1.0 / export.temperature
        self.number = export.target.kind == "number"

    def forward(self, *inputs: Tensor) -> Tensor:
        """See above."""
        outputs: Tensor = self.network(*inputs)
        return outputs if self.number else torch.softmax(outputs * self.scale, 1)


def write_export(export: Export, output: Path, *, check: bool) -> tuple[str, float | None]:
    """Write it and what it is as ``.json`` beside it; see :mod:`sertools.prediction.export`.

    Raises:
        UserError: what was written gives other outputs; ONNX does not have what is computed.
    """
    whole, names = _Outputs(export).eval(), [one.name for one in export.inputs]
    onnx, difference = output.suffix == ".onnx", None
    with replacing(output) as temporary:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # that checks of shapes are those of the example
            if onnx:
                free = {one.name: one.counts for one in export.inputs}
                write_onnx(whole, export.examples[0], temporary, names, export.output, free)
            else:
                torch.jit.save(torch.jit.trace(whole, export.examples[0], check_trace=False), str(temporary))
        if check or not onnx:
            difference = _difference(export, temporary, onnx)
            check_difference(output, difference, export.member)
    shapes = {one.name: one.shape for one in export.inputs}
    outputs = f"{export.output} [1, {export.target.num_outputs}]"
    about = {
        "target": asdict(export.target), "classes": list(export.target.classes), "inputs": shapes, "output": outputs,
        **export.about, "member": export.member, "temperature": export.temperature, "largest_difference": difference,
    }  # fmt: skip
    write_json(output.with_suffix(".json"), about)
    return f"{', '.join(f'{name} {shape}' for name, shape in shapes.items())} to {outputs}", difference


@torch.no_grad()
def _difference(export: Export, path: Path, onnx: bool) -> float:
    """Largest difference of an output to the trained network's, by what is in the file."""
    run = open_written(path, onnx, [one.name for one in export.inputs])
    largest = 0.0
    for example in export.examples:
        outputs = export.expected(*example).double()
        expected = outputs.numpy() if export.target.kind == "number" else torch.softmax(outputs, 1).numpy()
        if export.temperature is not None:
            expected = apply_temperature(expected, export.temperature)
        # NaN must not pass for small
        largest = float(np.maximum(largest, np.abs(run(example) - expected).max()))
    return largest
