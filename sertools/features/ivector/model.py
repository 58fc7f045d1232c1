"""A complete i-vector model: front end, UBM and extractor, as one checkpoint folder."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lhotse.cut import Cut

from sertools.errors import UserError
from sertools.features.ivector.extractor import IvectorExtractor
from sertools.features.ivector.frontend import CmvnConfig, Frontend
from sertools.features.ivector.ubm import DiagonalUbm, PosteriorConfig
from sertools.provenance import require_whole
from sertools.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, understood

MADE_BY = "the i-vector training stage (local/train_ivector.py)"


@dataclass(frozen=True)
class IvectorModel:
    """All that extraction needs.

    Attributes:
        frontend: from MFCC to what Gaussians see.
        ubm: gives posteriors.
        extractor: gives i-vectors.
        posteriors: how posteriors are pruned and scaled.
        feature_info: the configuration of the features it was trained on.
    """

    frontend: Frontend
    ubm: DiagonalUbm
    extractor: IvectorExtractor
    posteriors: PosteriorConfig
    feature_info: dict[str, Any]

    @property
    def dim(self) -> int:
        """Dimension of i-vectors."""
        return self.extractor.dim


def feature_info(cut: Cut) -> dict[str, Any]:
    """What features must have in common with those that a model was trained on."""
    features = cut.features
    return {
        "type": features.type,
        "num_features": features.num_features,
        "frame_shift": features.frame_shift,
        "sampling_rate": features.sampling_rate,
    }


def save_model(directory: Path | str, model: IvectorModel, config: dict[str, Any], info: dict[str, Any]) -> None:
    """Write a model as a checkpoint folder: safetensors, configuration, information.

    Args:
        config: the complete training configuration, for a reader.
        info: what else is worth keeping (inputs, counts).
    """
    weights = {
        "frontend.global_mean": model.frontend.global_mean,
        "frontend.transform": model.frontend.transform,
        "frontend.offset": model.frontend.offset,
        "ubm.weights": model.ubm.weights,
        "ubm.means": model.ubm.means,
        "ubm.variances": model.ubm.variances,
        "extractor.projections": model.extractor.projections,
        "extractor.precisions": model.extractor.precisions,
        "extractor.prior_offset": torch.tensor(model.extractor.prior_offset, dtype=torch.float64),
    }
    own = {
        "frontend": {"context": model.frontend.context, "cmvn": asdict(model.frontend.cmvn)},
        "posteriors": asdict(model.posteriors),
        "features": model.feature_info,
    }
    save_checkpoint(directory, Checkpoint(weights, config, info | own))


def load_model(directory: Path | str) -> IvectorModel:
    """Read a model.

    Raises:
        UserError: files are missing or damaged, or it is a checkpoint of something else.
    """
    checkpoint = load_checkpoint(require_whole(directory, MADE_BY), MADE_BY)
    w, info = checkpoint.weights, checkpoint.info
    if "extractor.projections" not in w:
        raise UserError(f"{directory} is not an i-vector model; it should be made by {MADE_BY}")
    with understood(directory, MADE_BY):
        frontend = Frontend(
            w["frontend.global_mean"], w["frontend.transform"], w["frontend.offset"],
            info["frontend"]["context"], CmvnConfig(**info["frontend"]["cmvn"]),
        )  # fmt: skip
        extractor = IvectorExtractor(
            w["ubm.weights"], w["extractor.projections"], w["extractor.precisions"], float(w["extractor.prior_offset"])
        )
        ubm = DiagonalUbm(w["ubm.weights"], w["ubm.means"], w["ubm.variances"])
        return IvectorModel(frontend, ubm, extractor, PosteriorConfig(**info["posteriors"]), info["features"])
