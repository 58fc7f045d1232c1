"""What an emotion experiment takes from elsewhere, and keeps a copy of, so that it can be used alone."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sertools.asr.apply import load_acoustic_model
from sertools.files import content_hash, require
from sertools.models.tdnnf import TdnnfConfig
from sertools.training.checkpoint import CONFIG, INFO, WEIGHTS

PRETRAINED, EXTRACTOR = "pretrained", "extractor"
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


def keep_copy(directory: Path, target: Path) -> None:
    """Copy a checkpoint folder to ``target``, if it is not there already; several processes may try at once."""
    if _same(directory, target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}-{os.getpid()}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    try:
        for name in (WEIGHTS, CONFIG, INFO):
            shutil.copyfile(directory / name, new / name)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(new, target)
    except OSError:
        shutil.rmtree(new, ignore_errors=True)
        if not _same(directory, target):  # else another process was faster
            raise


def _same(one: Path, other: Path) -> bool:
    try:
        return all(content_hash(one / name) == content_hash(other / name) for name in (WEIGHTS, CONFIG, INFO))
    except FileNotFoundError:
        return False
