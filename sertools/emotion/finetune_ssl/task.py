"""Training of a pretrained speech model with a head, and what it says of utterances."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sertools.backbones.encoder import hidden_states
from sertools.backbones.pretraining import MaskConfig, spans
from sertools.data.batching import plan_batches
from sertools.data.reader import Kept
from sertools.data.statistics import mean_and_deviation
from sertools.data.weights import balanced_weights
from sertools.emotion.finetune_ssl.config import FinetuneConfig
from sertools.emotion.finetune_ssl.network import TunedNetwork
from sertools.emotion.objective import Objective
from sertools.emotion.system import Label
from sertools.partitions.target import Target
from sertools.training.precision import check_precision

BLOCK = 32
"""Utterances whose hidden states are in memory at once, where they are recognised."""


@dataclass(frozen=True)
class Speech:
    """An utterance whose audio is read when it is needed, and kept where there is room.

    Attributes:
        id, speaker, corpus, label: as in folds and predictions.
        samples: how many, at the model's rate.
        load: reads the waveform, float32 (S,).
        kept: shared by all utterances.
    """

    id: str
    speaker: str
    corpus: str
    label: Label
    samples: int
    load: Callable[[], Tensor]
    kept: Kept

    @property
    def waveform(self) -> Tensor:
        """float32 (S,)."""
        return self.kept(self.id, self.load)


@dataclass(frozen=True)
class SpeechBatch:
    """Waveforms (N, S) with their lengths (N,), labels (N,), masked frames (N, T) and channels (N, D), if any."""

    waveforms: Tensor
    lengths: Tensor
    labels: Tensor
    mask: Tensor | None
    channel_mask: Tensor | None


class FinetuneTask:
    """Cross-entropy of utterances, or the loss of a number; see :class:`sertools.emotion.system.SystemTask`.

    Stretches and masks are functions of seed, epoch and batch, so that a training resumes exactly.

    Args:
        config, target: of the run.
        model: on its device.
        train, dev: utterances.
        seed: of batches, stretches and masks.
        device: of the model.
    """

    def __init__(
        self, config: FinetuneConfig, target: Target, model: TunedNetwork, train: Sequence[Speech],
        dev: Sequence[Speech], *, seed: int, device: str,
    ) -> None:  # fmt: skip
        self.config, self.target, self.model = config, target, model
        self.train, self.dev, self.seed, self.device = train, dev, seed, device
        self.objective = Objective.of(target, None)
        model.train_in(check_precision(config.precision, device))
        rate = model.encoder.backbone.sampling_rate
        assert rate is not None
        self.most, self.longest = round(config.data.batch_seconds * rate), round(config.data.max_seconds * rate)
        self.class_weights: Tensor | None = None
        if config.data.class_weights == "balanced":
            amounts = ((int(one.label), 1.0) for one in train)
            self.class_weights = balanced_weights(amounts, target.num_outputs).to(device)

    def about(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def _generator(self, epoch: int, purpose: int) -> torch.Generator:
        return torch.Generator().manual_seed((self.seed * 100003 + epoch) * 2 + purpose)

    def _plan(self, epoch: int) -> list[list[int]]:
        lengths = [min(one.samples, self.longest) for one in self.train]
        return plan_batches(lengths, self.most, self._generator(epoch, 0))

    def num_batches(self, epoch: int) -> int:
        """Batches of an epoch."""
        return len(self._plan(epoch))

    def batches(self, epoch: int, start: int) -> Iterator[SpeechBatch]:
        """Stretches of utterances of similar length."""
        for number, indices in enumerate(self._plan(epoch)):
            if number >= start:
                yield self._batch([self.train[i] for i in indices], self._generator(epoch * 1000003 + number, 1))

    def _batch(self, utterances: Sequence[Speech], generator: torch.Generator) -> SpeechBatch:
        waves = []
        for one in utterances:
            wave = one.waveform
            begin = int(torch.randint(max(len(wave) - self.longest, 0) + 1, (1,), generator=generator))
            waves.append(wave[begin : begin + self.longest])
        data, encoder = self.config.data, self.model.encoder
        frames = [encoder.frames(len(wave)) for wave in waves]
        mask = _masked(frames, data.mask_starts, data.mask_length, generator)
        channels = [encoder.backbone.dimension] * len(waves)
        channel_mask = _masked(channels, data.channel_mask_starts, data.channel_mask_length, generator)
        return SpeechBatch(
            torch.nn.utils.rnn.pad_sequence(waves, batch_first=True).to(self.device, non_blocking=True),
            torch.tensor([len(wave) for wave in waves]),
            self.objective.labels([one.label for one in utterances]).to(self.device, non_blocking=True),
            None if mask is None else mask.to(self.device, non_blocking=True),
            None if channel_mask is None else channel_mask.to(self.device, non_blocking=True),
        )

    def before_step(self, progress: float) -> None:
        """The head learns alone at first, where it is to."""
        if self.config.tuned.head_part:
            self.model.freeze_encoder(progress < self.config.tuned.head_part)

    def after_step(self, step: int) -> None:
        """Nothing."""

    def loss(self, batch: SpeechBatch) -> tuple[Tensor, float]:
        """Mean over utterances, and how many they are."""
        outputs = self.model(batch.waveforms, batch.lengths, batch.mask, batch.channel_mask)
        return self.objective.of_utterances(outputs, batch.labels, self.class_weights), float(len(batch.labels))

    def evaluate(self) -> dict[str, float]:
        """Loss and scores of the dev part."""
        outputs, loss = predict(self.model, self.dev, self.config, self.objective, self.device)
        return self.objective.dev_scores(loss, [one.label for one in self.dev], outputs)


def _masked(sizes: Sequence[int], starts: float, length: int, generator: torch.Generator) -> Tensor | None:
    return spans(sizes, MaskConfig(starts, length), generator) if starts else None


def moments(model: TunedNetwork, utterances: Sequence[Speech], config: FinetuneConfig) -> tuple[Tensor, Tensor]:
    """Mean and deviation over frames of what the head reads, (L * dim,) each, with the weights there are."""
    model.eval()

    def rows() -> Iterator[Tensor]:
        for start in range(0, len(utterances), BLOCK):
            waveforms = [one.waveform for one in utterances[start : start + BLOCK]]
            for states in hidden_states(model.encoder, waveforms, model.layers, config.data.batch_seconds):
                yield states.transpose(0, 1).flatten(1)

    return mean_and_deviation(rows())


@torch.no_grad()
def predict(
    model: TunedNetwork, utterances: Sequence[Speech], config: FinetuneConfig, objective: Objective, device: str
) -> tuple[Tensor, float]:
    """Probabilities (N, C) or values (N,), float64, each as if it were alone; and their mean loss."""
    model.eval()
    found = []
    for start in range(0, len(utterances), BLOCK):
        some = utterances[start : start + BLOCK]
        waveforms, names = [one.waveform for one in some], [one.id for one in some]
        for states in hidden_states(model.encoder, waveforms, model.layers, config.data.batch_seconds, names=names):
            side_by_side = states.transpose(0, 1).flatten(1)[None].to(device)
            found.append(model.of_states(side_by_side, torch.tensor([states.shape[1]]))[0].double().cpu())
    outputs = torch.stack(found)
    labels = objective.labels([one.label for one in utterances])
    loss = float(objective.of_utterances(outputs, labels))
    return (outputs[:, 0] if objective.target.kind == "number" else torch.softmax(outputs, 1)), loss
