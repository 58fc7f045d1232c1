"""One run of an experiment as a network for other programs: TorchScript or ONNX."""

import importlib.util
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sertools.emotion.members import System, find_runs, load_system
from sertools.errors import MissingPackage, UserError
from sertools.evaluation.calibration import SMALLEST, apply_temperature
from sertools.files import replacing, write_json
from sertools.models.emotion import aggregate_frames, pool
from sertools.models.layers import FactorisedLayer, FrameNorm
from sertools.models.tdnnf import Tdnnf

TOLERANCE = 1e-5
LENGTHS = (1, 2, 3, 7, 50, 101, 299, 300, 301, 1000)  # frames of the utterances that an export is tried on
OPSET = 13
INPUTS, IVECTORS, OUTPUT = ("features", "lengths"), "ivectors", "probabilities"


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        member: name of the run.
        description: its inputs and output.
        difference: largest difference of a probability to the system's; None if it was not run.
    """

    member: str
    description: str
    difference: float | None


def export_member(
    experiment: Path | str, output: Path | str, member: str | None = None, *, calibrated: bool = True, check: bool = True
) -> Exported:
    """Write a run as ``output`` (``.pt``: TorchScript, ``.onnx``: ONNX) and what it is as ``.json`` beside it.

    The network takes features (1, T, F) float32, lengths (1,) int64 (frames beyond it are ignored), and
    ivectors (1, D) if it was trained with them; it gives calibrated probabilities (1, C).

    Args:
        experiment: folder of an experiment, or of one run.
        output: the file.
        member: name of the run; None for the first with seed 1.
        calibrated: with the temperature of the run.
        check: False writes ONNX also where onnxruntime is not installed to run it.

    Raises:
        UserError: another suffix; no such run; the system normalises what its head reads, which needs
            more than one utterance; what was written gives other probabilities.
        MissingPackage: ONNX is to be checked, and there is no onnxruntime.
    """
    output = Path(output)
    if output.suffix not in (".pt", ".onnx"):
        raise UserError(f"{output}: the name must end in .pt (TorchScript) or .onnx (ONNX)")
    onnx = output.suffix == ".onnx"
    if onnx and check and importlib.util.find_spec("onnxruntime") is None:
        raise MissingPackage("onnxruntime", "to check an exported ONNX network",
                             "Install it (pip install onnxruntime), or write the file unchecked (--unchecked).")  # fmt: skip
    runs = find_runs(experiment) if member is None else find_runs(experiment, member)
    name = next(iter(runs))
    system = load_system({name: runs[name]}, calibrated=calibrated)
    if system.normalised == "reading":
        raise UserError(
            f"{experiment} normalises what its heads read over a speaker's utterances (data.normalise: speaker), which "
            "a network that sees one utterance cannot; export an experiment with normalise: none"
        )
    network = ExportedNetwork(system).eval()
    difference: float | None = None
    with replacing(output) as temporary:
        if onnx:
            _write_onnx(network, system, temporary)
        else:
            torch.jit.save(torch.jit.script(network), str(temporary))
        if check or not onnx:
            difference = _difference(system, temporary, onnx)
            if not difference <= TOLERANCE:
                raise UserError(
                    f"{output} was not kept: its probabilities differ by {difference:.1e} from those of {name}; "
                    f"at most {TOLERANCE:.0e} is accepted"
                )
    write_json(output.with_suffix(".json"), _about(system, name, difference))
    shapes = [f"{n} {s}" for n, s in _inputs(system).items()]
    return Exported(name, f"{', '.join(shapes)} to {OUTPUT} [1, {len(system.classes)}]", difference)


class ExportedNetwork(nn.Module):
    """One member of a system for one utterance, in convolutions.

    The same function as :class:`sertools.models.tdnnf.Tdnnf` with a head, without what training and
    batches need, so that its graph is the same for all lengths.
    """

    temperature: float

    def __init__(self, system: System) -> None:
        super().__init__()
        (branch,) = system.branches
        (member,) = branch.members
        trunk, config = branch.trunk, branch.trunk.config
        self.context, self.subsampling = config.context, config.subsampling
        self.statistics = system.config.pooling == "statistics"
        self.log_sum = system.config.aggregate == "log_probabilities"
        self.temperature = 1.0 if member.temperature is None else float(member.temperature)
        self.calibrated = member.temperature is not None
        names = config.layer_names
        last = max(names.index(layer) for layer in system.config.layers)
        self.input = _input(trunk)
        self.ivector_input = nn.Linear(config.ivector_dim, config.input_dim, bias=False) if config.ivector_dim else None
        if self.ivector_input is not None:
            self.ivector_input.weight.data = trunk.input_transform[:, -config.ivector_dim :].clone()
        self.first = _convolution(trunk.first.weight, trunk.first.bias, 1, 1,
                                  config.subsampling if config.low_rate_from == 0 else 1)  # fmt: skip
        self.first_norm = _Norm(trunk.first_norm)
        self.layers = nn.ModuleList(_Layer(layer) for layer in list(trunk.layers)[: min(last, len(trunk.layers))])
        self.prefinal = _convolution(trunk.prefinal.weight, None, 1, 1, 1) if "prefinal" in system.config.layers else None
        #: which layers the head reads, and for each how many frames it has on both sides of the outputs, and the step
        self.wanted: list[int] = [names.index(layer) for layer in system.config.layers]
        self.margins: list[int] = []
        self.steps: list[int] = []
        for index in range(len(names) - 1):
            margin, step = sum(config.strides[index + 1 :]), config.subsampling
            low = index >= config.low_rate_from
            self.margins.append(margin // step if low else margin)
            self.steps.append(1 if low else step)
        self.prefinal_index = len(names) - 1
        self.head = member.head

    def forward(self, features: Tensor, lengths: Tensor, ivectors: Tensor | None = None) -> Tensor:
        """Probabilities (1, C) of features (1, T, F), of which the first ``lengths`` (1,) count."""
        length = lengths[0]
        outputs = torch.div(length + (self.subsampling - 1), self.subsampling, rounding_mode="floor")
        times = torch.arange(0, self.subsampling * (outputs - 1) + 1 + 2 * self.context, device=features.device)
        index = torch.minimum((times - self.context).clamp(min=0), length - 1)
        x = self.input(features.index_select(1, index).transpose(1, 2))
        if self.ivector_input is not None and ivectors is not None:
            x = x + self.ivector_input(ivectors)[:, :, None]
        x = self.first_norm(F.relu(self.first(x)))
        found = [x]
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        read: list[Tensor] = []
        for wanted in self.wanted:
            if self.prefinal is not None and wanted == self.prefinal_index:
                read.append(self.prefinal(x))
            else:
                read.append(found[wanted][:, :, self.margins[wanted] :: self.steps[wanted]][:, :, : x.shape[2]])
        return self._classes(torch.cat(read, 1).transpose(1, 2))

    def _classes(self, x: Tensor) -> Tensor:
        """Probabilities (1, C) of what the head reads (1, T', C)."""
        if self.statistics:
            mean = x.mean(1, keepdim=True)
            variance = (x - mean).square().mean(1, keepdim=True)
            x = torch.cat([mean, variance.clamp(min=1e-8).sqrt()], 2)
        x = (x - self.head.input_mean) * self.head.input_scale
        if self.head.hidden is not None:
            x = F.relu(self.head.hidden(x))
        log_posteriors = F.log_softmax(self.head.output(x), dim=-1)
        if self.log_sum:
            probabilities = log_posteriors.sum(1).softmax(-1)
        else:
            probabilities = log_posteriors.exp().mean(1)
        if self.calibrated:
            probabilities = (probabilities.clamp(min=SMALLEST_FLOAT).log() / self.temperature).softmax(-1)
        return probabilities
