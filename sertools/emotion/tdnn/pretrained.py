"""The pretrained network that a system of S1 starts from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sertools.asr.apply import load_acoustic_model
from sertools.files import content_hash, require
from sertools.models.tdnnf import TdnnfConfig
from sertools.training.checkpoint import WEIGHTS

MADE_BY = "the pretraining (egs/tedlium2/run.sh, stage 7)"


@dataclass(frozen=True)
class Pretrained:
    """A pretrained network.

    Attributes:
        directory: its checkpoint folder.
        trunk: shape of its TDNN-F.
        weights: of its TDNN-F.
        sha256: of its weights' file.
        features: what its training cuts were made with (:func:`sertools.provenance.made_with`).
    """

    directory: Path
    trunk: TdnnfConfig
    weights: dict[str, Tensor]
    sha256: str
    features: Any = None


def load_pretrained(directory: Path | str) -> Pretrained:
    """Read the trunk of an acoustic model's checkpoint.

    Raises:
        UserError: there is none, or it is something else.
    """
    directory = Path(directory)
    require(directory / WEIGHTS, MADE_BY)
    loaded = load_acoustic_model(directory)
    trunk = loaded.model.trunk
    sha256, features = content_hash(directory / WEIGHTS), loaded.info.get("features")
    return Pretrained(directory, trunk.config, dict(trunk.state_dict()), sha256, features)
