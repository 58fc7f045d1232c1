"""What an emotion experiment takes from elsewhere, and keeps a copy of, so that it can be used alone."""

import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sertools.asr.apply import load_acoustic_model
from sertools.files import content_hash, only_writer, require
from sertools.models.tdnnf import TdnnfConfig
from sertools.training.checkpoint import CONFIG, INFO, WEIGHTS

PRETRAINED, EXTRACTOR = "pretrained", "extractor"
SECONDS_TO_COPY = 600.0  # that another process may take
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
    if _difference(directory, target) is None:
        return
    work = target.with_name(f".{target.name}")
    with only_writer(work, patience=SECONDS_TO_COPY):
        different = _difference(directory, target)
        if different is None:  # another process was faster
            return
        if target.exists():
            logging.info("%s is missing, damaged or of another checkpoint; copying that again", target / different)
        new = work / "new"
        shutil.rmtree(new, ignore_errors=True)
        for path in _files(directory):
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(directory / path, new / path)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(new, target)


def _difference(one: Path, other: Path) -> Path | None:
    """The first file of one folder that is not the same in the other."""
    for path in _files(one):
        try:
            if content_hash(one / path) != content_hash(other / path):
                return path
        except FileNotFoundError:
            return path
    return None


def _files(directory: Path) -> list[Path]:
    found = {path.relative_to(directory) for path in directory.rglob("*") if path.is_file()}
    return sorted(found | {Path(WEIGHTS), Path(CONFIG), Path(INFO)})  # the three that there have to be
