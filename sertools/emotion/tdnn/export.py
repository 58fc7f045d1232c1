"""A TDNN-F and its head as a network for other programs: TorchScript or ONNX."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sertools.emotion.tdnn.exported_network import ExportedNetwork
from sertools.emotion.tdnn.members import PLACE_ONLY, TdnnRuns
from sertools.errors import UserError
from sertools.evaluation.stats.calibration import apply_temperature
from sertools.files import replacing, write_json
from sertools.models.emotion import aggregate_frames, mean_of_frames, pool
from sertools.prediction.exported_file import check_difference, open_written, write_onnx

LENGTHS = (1, 2, 3, 50, 301, 1000)  # frames of the utterances that an export is tried on
IVECTORS = "ivectors"


def export_network(system: TdnnRuns, output: Path, *, check: bool) -> tuple[str, float | None]:
    """Write a system of one member as ``output`` and what it is as ``.json`` beside it.

    The network takes features (1, T, F) float32, lengths (1,) int64 (frames beyond it are ignored), and
    ivectors (1, D) if it was trained with them; it gives calibrated probabilities (1, C), or a value (1, 1).

    Returns:
        Its inputs and output, and the largest difference of an output to the system's; None if it was not run.

    Raises:
        UserError: the system normalises what its head reads, which needs more than one utterance; what was
            written gives other probabilities.
    """
    (member,) = system.members
    if system.normalised == "reading":
        raise UserError(
            f"{member.name} normalises what its head reads over a speaker's utterances (data.normalise: speaker), "
            "which a network that sees one utterance cannot; export an experiment with normalise: none"
        )
    onnx = output.suffix == ".onnx"
    network = ExportedNetwork(system).eval()
    difference: float | None = None
    with replacing(output) as temporary:
        if onnx:
            write_onnx(network, _example(system, 100), temporary, list(_inputs(system)), _output(system))
        else:
            torch.jit.save(torch.jit.script(network), str(temporary))
        if check or not onnx:
            difference = _difference(system, temporary, onnx)
            check_difference(output, difference, member.name)
    write_json(output.with_suffix(".json"), _about(system, member.name, difference))
    shapes = [f"{n} {s}" for n, s in _inputs(system).items()]
    return f"{', '.join(shapes)} to {_output(system)} [1, {system.target.num_outputs}]", difference


def _output(system: TdnnRuns) -> str:
    """Name of the output."""
    return "value" if system.target.kind == "number" else "probabilities"


def _inputs(system: TdnnRuns) -> dict[str, str]:
    """Name and shape of each input."""
    trunk = system.branches[0].trunk.config
    inputs = {"features": f"[1, frames, {trunk.feature_dim}]", "lengths": "[1]"}
    return inputs | ({IVECTORS: f"[1, {trunk.ivector_dim}]"} if trunk.ivector_dim else {})


def _example(system: TdnnRuns, frames: int, more: int = 0) -> tuple[Tensor, ...]:
    """Inputs for an utterance of so many frames, and ``more`` that do not count."""
    generator = torch.Generator().manual_seed(frames)
    trunk = system.branches[0].trunk.config
    features = 10 * torch.randn(1, frames + more, trunk.feature_dim, generator=generator)
    inputs = (features, torch.tensor([frames]))
    return (*inputs, torch.randn(1, trunk.ivector_dim, generator=generator)) if trunk.ivector_dim else inputs


@torch.no_grad()
def _expected(system: TdnnRuns, inputs: tuple[Tensor, ...]) -> Any:
    """Probabilities (1, C), or a value (1, 1), by the modules that were trained."""
    (branch,), config = system.branches, system.config
    (member,) = branch.members
    features, lengths = inputs[0], inputs[1]
    found = branch.trunk(features[:, : int(lengths)], lengths, config.layers, inputs[2] if len(inputs) > 2 else None)
    x, counts = pool(
        torch.cat([found[name] for name in config.layers], 2), branch.trunk.output_lengths(lengths), config.pooling
    )
    outputs, counts = member.head(x, counts)
    if system.target.kind == "number":
        return mean_of_frames(outputs.double(), counts).numpy()
    probabilities = aggregate_frames(outputs.double(), counts, config.aggregate).numpy()
    return probabilities if member.temperature is None else apply_temperature(probabilities, member.temperature)


def _difference(system: TdnnRuns, path: Path, onnx: bool) -> float:
    """Largest difference of an output over :data:`LENGTHS`, by what is in the file."""
    run = open_written(path, onnx, list(_inputs(system)))
    largest = 0.0
    for frames in LENGTHS:
        inputs = _example(system, frames, more=frames % 4)
        # NaN must not pass for small
        largest = float(np.maximum(largest, np.abs(run(inputs) - _expected(system, inputs)).max()))
    return largest


def _about(system: TdnnRuns, member: str, difference: float | None) -> dict[str, Any]:
    """What a user of the file has to know."""
    return {
        "target": asdict(system.target),
        "classes": list(system.target.classes),
        "inputs": _inputs(system),
        "output": f"{_output(system)} [1, {system.target.num_outputs}]",
        "mfcc": {key: value for key, value in vars(system.mfcc).items() if key not in PLACE_ONLY},
        "samples": "MFCC are of 16-bit samples (-32768 .. 32767), as Kaldi's",
        "normalised": "MFCC to mean 0 and variance 1 over the speaker"
        if system.normalised == "features"
        else "nothing",
        "member": member,
        "temperature": system.members[0].temperature,
        "largest_difference": difference,
    }
