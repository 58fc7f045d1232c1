"""Files of exported networks, TorchScript or ONNX: written, and run again to be compared with the system."""

import importlib
import importlib.util
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sertools.errors import MissingPackage, UserError

TOLERANCE = 1e-5
"""The largest difference of an output with which a file is kept."""
OPSET = 14


def write_onnx(
    network: nn.Module, example: tuple[Tensor, ...], path: Path, inputs: Sequence[str], output: str,
    free: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Write a network.

    Args:
        network: in evaluation mode.
        example: its inputs.
        path: the file.
        inputs, output: their names.
        free: of inputs whose second dimension may have any size, what it counts; None: ``features``, frames.

    Raises:
        MissingPackage: torch 2 needs onnx.
        UserError: it computes something that ONNX does not have.
    """
    free = {"features": "frames"} if free is None else free
    options: dict[str, Any] = {}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False  # the other exporter needs onnxscript too
        if importlib.util.find_spec("onnx") is None:
            raise MissingPackage("onnx", f"writing ONNX with torch {torch.__version__}", "Install it with pip.")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that this exporter is the older one, and what it makes of constants
        try:
            torch.onnx.export(
                network, example, str(path), opset_version=OPSET, input_names=list(inputs), output_names=[output],
                dynamic_axes={name: {1: what} for name, what in free.items()}, **options,
            )  # fmt: skip
        except torch.onnx.errors.OnnxExporterError as error:
            reason = str(error).split("\n")[0]
            raise UserError(f"ONNX cannot have this network ({reason}); write TorchScript, OUT.pt") from error


def open_written(path: Path, onnx: bool, inputs: Sequence[str]) -> Callable[[tuple[Tensor, ...]], Any]:
    """The network of a file that was just written: from inputs, called ``inputs``, to its output, a NumPy array."""
    if onnx:
        runtime = importlib.import_module("onnxruntime")
        session = runtime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
        return lambda given: session.run(None, {n: x.numpy() for n, x in zip(inputs, given, strict=True)})[0]
    network = torch.jit.load(str(path))

    def run(given: tuple[Tensor, ...]) -> Any:
        # as it is: fusing for each new length takes seconds
        with torch.no_grad(), torch.jit.optimized_execution(False):
            return network(*given).numpy()

    return run


def check_difference(output: Path, difference: float, member: str) -> None:
    """Raise UserError if a file's outputs are not those of the run ``member``."""
    if not difference <= TOLERANCE:  # nor NaN
        raise UserError(
            f"{output} was not kept: its outputs differ by {difference:.1e} from those of {member}; "
            f"at most {TOLERANCE:.0e} is accepted"
        )
