"""Fine-tuning as a system."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lhotse.cut import Cut
from torch import Tensor

from sertools.backbones.encoder import SpeechEncoder, check_length
from sertools.backbones.load import load_speech
from sertools.data.reader import Kept
from sertools.emotion.data import check_all_found
from sertools.emotion.finetune_ssl.config import FinetuneConfig
from sertools.emotion.finetune_ssl.network import TunedNetwork
from sertools.emotion.finetune_ssl.task import FinetuneTask, Speech, moments, predict
from sertools.emotion.objective import Objective
from sertools.emotion.system import Applied, Label, Predicted, predict_parts
from sertools.errors import UserError
from sertools.features.access import join_cuts
from sertools.features.audio import load_samples
from sertools.partitions.target import Target
from sertools.training.checkpoint import load_checkpoint, load_weights
from sertools.training.distributed import Group
from sertools.training.loop import TrainingConfig
from sertools.training.run import CHECKPOINT


class FinetuneSystem:
    """See :mod:`sertools.emotion.system`; trained by the loop.

    Args:
        config: as configured.
        backbone: folder of the pretrained model.
    """

    def __init__(self, config: FinetuneConfig, backbone: Path) -> None:
        self.config = config
        self.backbone = backbone
        self.reading = str(backbone), config.data.memory_gb
        self._lengths: SpeechEncoder | None = None  # tells how short audio may be

    @property
    def training(self) -> TrainingConfig:
        """Settings of the loop."""
        return self.config.training

    def remarks(self, features: Any) -> list[str]:
        """Nothing but what is to be said of the pretrained model."""
        return []

    def read(self, cuts: Sequence[Path], labels: Mapping[str, Label]) -> dict[str, Speech]:
        """Utterances, whose audio is read later.

        Raises:
            UserError: an utterance has no audio, no speaker, or is too short for the model.
        """
        if self._lengths is None:
            self._lengths = self._load()
        encoder, kept = self._lengths, Kept(self.config.data.memory_gb)
        rate = encoder.backbone.sampling_rate
        assert rate is not None
        found: dict[str, Speech] = {}
        for cut in join_cuts(cuts):
            if cut.id not in labels:
                continue
            if not cut.has_recording or not cut.supervisions:
                raise UserError(
                    f"{cuts[0]}: {cut.id} has no audio, or no supervision; give the corpus's manifest of cuts"
                )
            told = cut.supervisions[0]
            samples = round(cut.duration * rate)
            check_length(encoder, samples, cut.id)
            corpus = str((told.custom or {}).get("corpus", "unknown"))
            load = partial(_waveform, cut, rate)
            found[cut.id] = Speech(cut.id, str(told.speaker), corpus, labels[cut.id], samples, load, kept)
        check_all_found(labels, found, str(cuts[0]), cuts)
        return found

    def _load(self, seed: int = 0) -> SpeechEncoder:
        layers = self.config.head.layers
        highest = max(layers) if isinstance(layers, tuple) else None
        random_seed = seed if self.config.tuned.start == "random" else None
        return load_speech(self.backbone, padding=False, random_seed=random_seed, highest=highest)

    def task(
        self, target: Target, train: Sequence[Speech], dev: Sequence[Speech], *, seed: int, device: str, group: Group
    ) -> FinetuneTask:
        """The training.

        Raises:
            UserError: several processes are to share it.
        """
        if group.size > 1:
            raise UserError("this kind of system is trained by one process: start it without --tasks-per-node, --nodes")
        encoder = self._load(seed)
        torch.manual_seed(seed)
        model = TunedNetwork(self.config, encoder, target.num_outputs, target.kind == "number")
        if target.kind == "number":
            values = torch.tensor([float(one.label) for one in train])
            model.head.scale_outputs(float(values.mean()), float(values.std(unbiased=False)))
        model = model.to(device)
        if self.config.head.scale == "standardise":
            model.head.standardise(*moments(model, train, self.config))
        return FinetuneTask(self.config, target, model, train, dev, seed=seed, device=device)

    def predict(self, run: Path, target: Target, parts: Mapping[str, Sequence[Speech]], device: str) -> Predicted:
        """Probabilities or values of whole utterances."""
        return predict_parts(self.trained(run, target, device), parts)

    def trained(self, run: Path, target: Target, device: str) -> Applied:
        """See :class:`sertools.emotion.system.Applicable`."""
        model, objective = self.network(run, target).to(device), Objective.of_outputs(target)
        return lambda rows: (rows, predict(model, rows, self.config, objective, device)[0])

    def network(self, run: Path, target: Target) -> TunedNetwork:
        """The trained network."""
        model = TunedNetwork(self.config, self._load(), target.num_outputs, target.kind == "number")
        load_weights(model, load_checkpoint(run / CHECKPOINT).weights, str(run / CHECKPOINT))
        return model


def _waveform(cut: Cut, rate: int) -> Tensor:
    return torch.from_numpy(load_samples(cut, rate)[0])
