"""One run of an experiment as a network for other programs: TorchScript or ONNX."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sertools.errors import MissingPackage, UserError
from sertools.prediction.ensemble import Exportable
from sertools.prediction.runs import find_runs, load_runs


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        member: name of the run.
        description: its inputs and output.
        difference: largest difference of a probability (or value) to the system's; None if it was not run.
    """

    member: str
    description: str
    difference: float | None


def export_member(
    experiment: Path | str,
    output: Path | str,
    member: str | None = None,
    *,
    calibrated: bool = True,
    check: bool = True,
    given: Mapping[str, Path] | None = None,
) -> Exported:
    """Write a run as ``output`` (``.pt``: TorchScript, ``.onnx``: ONNX) and what it is as ``.json`` beside it.

    Args:
        experiment: folder of an experiment, or of one run.
        output: the file.
        member: name of the run; None for the first with seed 1.
        calibrated: with the temperature of the run.
        given: what the run is computed from besides audio, by name: ``backbone`` of systems of S3.
        check: False writes ONNX also where onnxruntime is not installed to run it.

    Raises:
        UserError: another suffix; no such run; its kind cannot be exported, or it cannot; what was written
            gives other outputs.
        MissingPackage: ONNX is to be checked, and there is no onnxruntime.
    """
    output = Path(output)
    if output.suffix not in (".pt", ".onnx"):
        raise UserError(f"{output}: the name must end in .pt (TorchScript) or .onnx (ONNX)")
    if output.suffix == ".onnx" and check and importlib.util.find_spec("onnxruntime") is None:
        raise MissingPackage(
            "onnxruntime",
            "checking what was exported",
            "Install it with pip, or write the file --unchecked.",
        )
    runs = find_runs(experiment) if member is None else find_runs(experiment, member)
    name = next(iter(runs))
    ensemble = load_runs({name: runs[name]}, calibrated=calibrated, given=given)
    if not isinstance(ensemble, Exportable):
        raise UserError(
            f"{runs[name]} cannot be exported: TorchScript and ONNX are written of S1, S3 and Cnn14 (S5), not of "
            "an SVM, of networks on functionals (S2) or of what reads a recogniser's states (S4).  `sertools predict` "
            "applies all of them"
        )
    description, difference = ensemble.export(output, check=check)
    return Exported(name, description, difference)
