"""Heads on hidden layers: training and prediction."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sertools.data.statistics import mean_and_deviation
from sertools.emotion.data import Utterance, load_utterances
from sertools.emotion.frames import FrameTask, applied_frames
from sertools.emotion.layers_head.config import LayersConfig
from sertools.emotion.layers_head.network import LayersHead
from sertools.emotion.objective import Objective
from sertools.emotion.system import Applied, Label, Predicted, predict_parts
from sertools.emotion.transductive import BY_SPEAKER
from sertools.errors import UserError
from sertools.features.access import find, join_cuts
from sertools.files import write_text
from sertools.partitions.target import Target
from sertools.training.checkpoint import load_checkpoint, load_weights
from sertools.training.distributed import Group
from sertools.training.loop import TrainingConfig
from sertools.training.run import CHECKPOINT

WEIGHTS = "layer_weights.csv"


class LayersSystem:
    """See :mod:`sertools.emotion.system`; trained by the loop."""

    def __init__(self, config: LayersConfig) -> None:
        self.config = config
        model = config.model
        self.reading = (config.features, config.stored, model.layers, config.data.normalise, config.data.memory_gb)
        self._layers: tuple[int, ...] = ()

    @property
    def training(self) -> TrainingConfig:
        """Settings of the loop."""
        return self.config.training

    def remarks(self, features: Any) -> list[str]:
        """Whether speakers are normalised."""
        return [BY_SPEAKER] if self.config.data.normalise == "speaker" else []

    def read(self, cuts: Sequence[Path], labels: Mapping[str, Label]) -> dict[str, Utterance]:
        """Utterances with their layers side by side.

        Raises:
            UserError: the features have no layers, or not those; they are not stored as configured.
        """
        self._layers = self._chosen(cuts)
        found = load_utterances(cuts, labels, self.config.reading(self._layers))
        if self.config.stored == "statistics":
            for utterance in found.values():
                if utterance.frames != 1:
                    raise UserError(
                        f"{cuts[0]}: {utterance.id} has {utterance.frames} rows of {self.config.features}, and stored "
                        "is statistics, of which there is one; set stored: frames, or compute features with "
                        "statistics: true"
                    )
        elif all(utterance.frames == 1 for utterance in found.values()):
            raise UserError(
                f"{cuts[0]}: {self.config.features} has one row an utterance, and stored is frames; set stored: "
                "statistics, or compute features with statistics: false"
            )
        return found

    def _chosen(self, cuts: Sequence[Path]) -> tuple[int, ...]:
        """Numbers of the layers."""
        first = next(iter(join_cuts(cuts)), None)
        shape = () if first is None else find(first, self.config.features).shape
        if len(shape) != 3:
            raise UserError(f"{cuts[0]}: {self.config.features} has no layers; this kind of system is on hidden layers")
        wanted = self.config.model.layers
        if wanted == "all":
            return tuple(range(shape[0]))
        if max(wanted) >= shape[0]:
            raise UserError(f"{cuts[0]}: {self.config.features} has layers 0 to {shape[0] - 1}, not {max(wanted)}")
        return wanted

    def task(
        self, target: Target, train: Sequence[Utterance], dev: Sequence[Utterance], *, seed: int, device: str,
        group: Group,
    ) -> FrameTask:  # fmt: skip
        """Cross-entropy of utterances, or the loss of a number."""
        torch.manual_seed(seed)
        count = len(self._layers)
        model = make_head(self.config, count, train[0].features.shape[1] // count, target)
        if self.config.model.scale == "standardise":
            model.standardise(*mean_and_deviation(u.features for u in train))
        if target.kind == "number":
            mean, std = mean_and_deviation([torch.tensor([[float(u.label)] for u in train])])
            model.scale_outputs(float(mean), float(std))
        settings = self.config.frame_settings
        return FrameTask(settings, target, train, dev, model.to(device), seed=seed, device=device, group=group)

    def predict(self, run: Path, target: Target, parts: Mapping[str, Sequence[Utterance]], device: str) -> Predicted:
        """Outputs of whole utterances; and the table of the layers' weights."""
        logits = load_checkpoint(run / CHECKPOINT).weights["weights.logits"]
        pairs = zip(self._layers, torch.softmax(logits, 0).tolist(), strict=True)
        write_text(run / WEIGHTS, "layer,weight\n" + "".join(f"{layer},{weight:.6f}\n" for layer, weight in pairs))
        return predict_parts(self.trained(run, target, device), parts, (WEIGHTS,))

    def trained(self, run: Path, target: Target, device: str) -> Applied:
        """See :class:`sertools.emotion.system.Applicable`."""
        return applied_frames(
            self.network(run, target), self.config.frame_settings, Objective.of_outputs(target), device
        )

    def network(self, run: Path, target: Target) -> LayersHead:
        """The trained network."""
        weights = load_checkpoint(run / CHECKPOINT).weights
        count = len(weights["weights.logits"])
        model = make_head(self.config, count, len(weights["input_mean"]) // count, target)
        load_weights(model, weights, str(run / CHECKPOINT))
        return model


def make_head(config: LayersConfig, layers: int, dim: int, target: Target) -> LayersHead:
    """The network, with random weights."""
    return LayersHead(config, layers, dim, target.num_outputs, number=target.kind == "number")
