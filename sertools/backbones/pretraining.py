"""Self-supervised pretraining as HuBERT does it (Hsu et al. 2021, arXiv 2106.07447).

Frames are clustered, by MFCC in the first iteration, by a layer of a model in the next; spans of the network's input
are masked, and it is trained to tell the clusters of the masked frames (cross-entropy of a linear layer, where HuBERT
has cosines of embeddings). From scratch, or on from a model there is. Whatever is random is a function of seed, epoch
and batch, so that a training resumes exactly.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sertools.backbones.clusters import HOP, targets
from sertools.backbones.encoder import SpeechEncoder
from sertools.data.batching import plan_batches
from sertools.models.emotion import frame_mask
from sertools.training.task import TrainingConfig


@dataclass(frozen=True)
class NetworkConfig:
    """A HuBERT from scratch; its convolutions have HuBERT's kernels and strides, so frames of 25 ms every 20 ms.

    Attributes:
        conv_dim: channels of the convolutions.
        hidden_dim, layers, heads, feedforward_dim: of the transformer.
        dropout: in it.
    """

    conv_dim: int = 32
    hidden_dim: int = 96
    layers: int = 2
    heads: int = 4
    feedforward_dim: int = 256
    dropout: float = 0.1


@dataclass(frozen=True)
class MaskConfig:
    """Spans of frames that are masked.

    Attributes:
        starts: part of the frames at which a span begins.
        length: of a span, in frames of 20 ms.
        others: weight of the loss of frames that are not masked.  HuBERT had 0 in the end; a network that
            sees little speech learns what the clusters are from frames that it sees.
    """

    starts: float = 0.08
    length: int = 10
    others: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.starts < 1 or self.length < 1:
            raise ValueError("starts must be between 0 and 1, length at least 1")
        if not 0 <= self.others <= 1:
            raise ValueError("others must be between 0 and 1")


@dataclass(frozen=True)
class PretrainTraining(TrainingConfig):
    """The loop's settings, with defaults for pretraining; select_by is dev_loss or dev_accuracy."""

    epochs: int = 15
    learning_rate: float = 1e-3
    final_learning_rate: float = 3e-4
    warmup: float = 0.1
    select_by: str = "dev_loss"


@dataclass(frozen=True)
class PretrainConfig:
    """``conf/pretrain_ssl.yaml``.

    Attributes:
        network: where it starts from scratch.
        mask: see :class:`MaskConfig`.
        clusters: of frames.
        clusters_of: ``mfcc``, or the number of a layer of the model that is gone on from, as it is at first: HuBERT's
            second iteration, and near P-TAPT (Chen and Rudnicky 2021, arXiv 2110.06309), whose clusters are of the
            first wav2vec's aggregator.
        cluster_frames: at most so many frames are clustered.
        crop_seconds: of longer utterances, another such part is taken in every epoch.
        batch_seconds: of audio in a batch, with its padding.
        training: of the loop.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    clusters: int = 25
    clusters_of: Literal["mfcc"] | int = "mfcc"
    cluster_frames: int = 50_000
    crop_seconds: float = 4.0
    batch_seconds: float = 4.0
    training: PretrainTraining = field(default_factory=PretrainTraining)

    def __post_init__(self) -> None:
        if self.clusters < 2 or self.crop_seconds <= 0 or self.batch_seconds < self.crop_seconds:
            raise ValueError("clusters must be 2 or more, and a batch (batch_seconds) must hold a crop (crop_seconds)")


def hubert_settings(config: NetworkConfig) -> dict[str, Any]:
    """What transformers' HubertConfig is made of.

    Convolutions normalise each frame by itself, as in HuBERT large, so that utterances can be padded.
    """
    return {
        "hidden_size": config.hidden_dim,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.feedforward_dim,
        "conv_dim": [config.conv_dim] * 7,
        "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
        "conv_stride": [5, 2, 2, 2, 2, 2, 2],
        "num_conv_pos_embeddings": 64,
        "num_conv_pos_embedding_groups": 8,
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "hidden_dropout": config.dropout,
        "attention_dropout": config.dropout,
        "activation_dropout": 0.0,
        "feat_proj_dropout": 0.0,
        "layerdrop": 0.0,
    }


def spans(lengths: Sequence[int], config: MaskConfig, generator: torch.Generator) -> Tensor:
    """Masked frames of a batch, bool (N, T): at least one span in each utterance, none beyond its end."""
    most = max(lengths)
    mask = torch.zeros(len(lengths), most, dtype=torch.bool)
    for row, length in enumerate(lengths):
        begins = torch.rand(length, generator=generator) < config.starts
        begins[int(torch.randint(max(1, length - config.length + 1), (1,), generator=generator))] = True
        for begin in begins.nonzero()[:, 0].tolist():
            mask[row, begin : min(begin + config.length, length)] = True
    return mask


@dataclass(frozen=True)
class Batch:
    """Waveforms (N, S), their lengths (N,); which frames there are, which are masked, and their clusters (N, T)."""

    waveforms: Tensor
    lengths: Tensor
    inside: Tensor
    mask: Tensor
    targets: Tensor


class Predictor(nn.Module):
    """The network that is pretrained, and a linear layer to clusters that is thrown away afterwards."""

    def __init__(self, encoder: SpeechEncoder, clusters: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.output = nn.Linear(encoder.backbone.dimension, clusters)

    def forward(self, batch: Batch) -> Tensor:
        """Log-probabilities of clusters (N, T, K); frames beyond an utterance's end are meaningless."""
        last = self.encoder.backbone.layers - 1
        encoded = self.encoder.encode(batch.waveforms, batch.lengths, [last], batch.mask)
        return F.log_softmax(self.output(encoded.states[0].float()), -1)


class PretrainTask:
    """See :class:`sertools.training.task.Task`.

    Args:
        encoder: what is trained.
        train, dev: waveforms (S,) at the encoder's rate.
        config: see :class:`PretrainConfig`.
        seed: of everything random.
        device: a torch device; the encoder is on it.
    """

    def __init__(
        self, encoder: SpeechEncoder, train: Sequence[Tensor], dev: Sequence[Tensor], config: PretrainConfig, *,
        seed: int, device: str = "cpu",
    ) -> None:  # fmt: skip
        self.config, self.seed, self.device = config, seed, torch.device(device)
        rate = encoder.backbone.sampling_rate
        assert rate is not None
        self.crop = round(config.crop_seconds * rate)
        self.most = round(config.batch_seconds * rate)
        self.parts = {"train": list(train), "dev": list(dev)}
        self.targets = targets(encoder, self.parts, config.clusters_of, config.clusters, config.cluster_frames, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.predictor = Predictor(encoder, config.clusters).to(self.device)

    @property
    def model(self) -> nn.Module:
        """Network and output layer."""
        return self.predictor

    def num_batches(self, epoch: int) -> int:
        """See :class:`sertools.training.task.Task`."""
        return len(self._plan(self._generator(epoch)))

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """See :class:`sertools.training.task.Task`."""
        plan = self._plan(self._generator(epoch))
        for number in range(start, len(plan)):
            yield self._batch("train", plan[number], self._generator(epoch, number + 1))

    def before_step(self, progress: float) -> None:
        """Nothing changes on the way."""

    def after_step(self, step: int) -> None:
        """Weights have no constraints."""

    def loss(self, batch: Batch) -> tuple[Tensor, float]:
        """Mean cross-entropy of masked frames, and of the others by their weight; the number of masked frames."""
        return self._loss(self.predictor(batch), batch)

    def _loss(self, scores: Tensor, batch: Batch) -> tuple[Tensor, float]:
        loss = F.nll_loss(scores[batch.mask], batch.targets[batch.mask])
        others = batch.inside & ~batch.mask
        if self.config.mask.others and bool(others.any()):
            loss = loss + self.config.mask.others * F.nll_loss(scores[others], batch.targets[others])
        return loss, float(batch.mask.sum())

    def evaluate(self) -> dict[str, float]:
        """dev_loss, as in training; dev_accuracy of masked frames, dev_seen_accuracy of the others.

        Crops and masks are the same in every epoch.
        """
        loss = weight = 0.0
        told: dict[str, list[Tensor]] = {"dev_accuracy": [], "dev_seen_accuracy": []}
        # what padding would change is scored one by one
        most = self.most if self.predictor.encoder.pads else 1
        for number, indices in enumerate(plan_batches(self._lengths("dev"), most, None)):
            batch = self._batch("dev", indices, self._generator(0, number))
            scores = self.predictor(batch)
            own, count = self._loss(scores, batch)
            loss, weight = loss + float(own) * count, weight + count
            right = scores.argmax(2) == batch.targets
            told["dev_accuracy"].append(right[batch.mask])
            told["dev_seen_accuracy"].append(right[batch.inside & ~batch.mask])
        # -1 where every frame of dev is masked
        shares = {n: float(torch.cat(v).float().mean()) if len(torch.cat(v)) else -1.0 for n, v in told.items()}
        return {"dev_loss": loss / weight} | shares

    def _generator(self, *numbers: int) -> torch.Generator:
        seed = int(np.random.SeedSequence([self.seed, *numbers]).generate_state(1)[0])
        return torch.Generator().manual_seed(seed)

    def _lengths(self, part: str) -> list[int]:
        return [min(len(waveform), self.crop) for waveform in self.parts[part]]

    def _plan(self, generator: torch.Generator) -> list[list[int]]:
        return plan_batches(self._lengths("train"), self.most, generator)

    def _batch(self, part: str, indices: Sequence[int], generator: torch.Generator) -> Batch:
        encoder = self.predictor.encoder
        waves, targets = [], []
        for index in indices:
            whole = self.parts[part][index]
            places = (max(0, len(whole) - self.crop)) // HOP + 1
            begin = int(torch.randint(places, (1,), generator=generator))
            waves.append(whole[begin * HOP : begin * HOP + self.crop])
            targets.append(self.targets[part][index][begin : begin + encoder.frames(len(waves[-1]))])
        frames = [encoder.frames(len(wave)) for wave in waves]
        return Batch(
            nn.utils.rnn.pad_sequence(waves, batch_first=True).to(self.device),
            torch.tensor([len(wave) for wave in waves]),
            frame_mask(torch.tensor(frames), max(frames)).to(self.device),
            spans(frames, self.config.mask, generator).to(self.device),
            nn.utils.rnn.pad_sequence(targets, batch_first=True).to(self.device),
        )
