"""Hidden states of utterances: what every speech model gives, whatever else is in the batch."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sertools.backbones.card import Backbone
from sertools.errors import UserError

log = logging.getLogger(__name__)

Layers = Sequence[int] | None
"""Which hidden states: numbers from 0, the one before the first layer; None for all."""


@dataclass(frozen=True)
class Encoded:
    """Hidden states of a batch.

    Attributes:
        states: a tensor (N, T, C) for each layer that was asked for.
        lengths: frames of each utterance, int64 (N,) on the CPU; what is beyond is meaningless.
    """

    states: list[Tensor]
    lengths: Tensor


class SpeechEncoder(nn.Module):
    """A pretrained speech model with one interface for all families.

    Attributes:
        backbone: what it is.
        normalize: whether each utterance is brought to mean 0 and variance 1 first.
        pads: whether utterances of different lengths give the same together, padded, as each alone.
        least_samples: an utterance must have so many.
        most_samples: at most so many are computed together; longer ones are cut.  None for any.
        hop: samples from frame to frame.
        padded_to: every utterance is computed as if it had so many samples at least.
    """

    padded_to: int = 0

    def __init__(
        self, backbone: Backbone, normalize: bool, pads: bool, least_samples: int, most_samples: int | None, hop: int
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.normalize = normalize
        self.pads = pads
        self.least_samples = least_samples
        self.most_samples = most_samples
        self.hop = hop

    def frames(self, samples: int) -> int:
        """Frames of an utterance of so many samples (of one piece, see ``most_samples``)."""
        raise NotImplementedError

    def layer_stack(self) -> nn.ModuleList:
        """The layers in order, from the input on: for training some of them."""
        raise NotImplementedError

    def convolutions(self) -> nn.Module:
        """What comes before the layers and reads the signal."""
        raise NotImplementedError

    def checkpoint_gradients(self) -> None:
        """Let training compute layers twice instead of keeping what is in them; no value changes.

        Raises:
            UserError: the model has no such thing.
        """
        raise UserError(f"tuned.gradient_checkpointing: {self.backbone.name} has none")

    def encode(
        self, waveforms: Tensor, lengths: Tensor, layers: Layers = None, time_mask: Tensor | None = None,
        channel_mask: Tensor | None = None,
    ) -> Encoded:  # fmt: skip
        """Hidden states, with gradients where they are enabled.

        Args:
            waveforms: float32 (N, S), full scale 1, zero beyond an utterance's length.
            lengths: in samples, int64 (N,).
            layers: see :data:`Layers`.
            time_mask: bool (N, T), frames that are replaced by the model's learnt mask (by zeros where
                it has none); for training.
            channel_mask: bool (N, C), channels of what the layers read that are zero; for training.

        Raises:
            UserError: an utterance is too short, or there is no such layer.
        """
        for samples in lengths.tolist():
            check_length(self, samples)
        wanted = chosen(self.backbone, layers)
        if self.normalize:
            waveforms = normalised(waveforms, lengths)
        return self._encode(waveforms, lengths.cpu(), wanted, time_mask, channel_mask)

    def alone(self, waveform: Tensor, layers: list[int]) -> list[Tensor]:
        """Hidden states (1, T, C) of one whole utterance (1, S); nothing depends on numbers that a trace would keep.

        Raises:
            UserError: it cannot be so computed.
        """
        if self.normalize:
            centred = waveform - waveform.mean(1, keepdim=True)
            waveform = centred * (centred.square().mean(1, keepdim=True) + 1e-7).rsqrt()
        return self._alone(waveform, layers)

    def _alone(self, waveform: Tensor, layers: list[int]) -> list[Tensor]:
        raise NotImplementedError

    def _encode(
        self, waveforms: Tensor, lengths: Tensor, layers: list[int], time_mask: Tensor | None,
        channel_mask: Tensor | None,
    ) -> Encoded:  # fmt: skip
        raise NotImplementedError


def chosen(backbone: Backbone, layers: Layers) -> list[int]:
    """Numbers of the layers.

    Raises:
        UserError: one is not there, or named twice.
    """
    if layers is None:
        return list(range(backbone.layers))
    for layer in layers:
        if not 0 <= layer < backbone.layers:
            raise UserError(f"{backbone.name} has no layer {layer}; it has 0 to {backbone.layers - 1}")
    if not layers or len(set(layers)) < len(layers):
        raise UserError(f"layers must name one layer or more, each once, not {list(layers)}")
    return list(layers)


def check_length(encoder: SpeechEncoder, samples: int, name: str = "an utterance") -> None:
    """Refuse an utterance that has no frame.

    Raises:
        UserError: it is too short.
    """
    if samples < encoder.least_samples:
        rate = encoder.backbone.sampling_rate or 1
        raise UserError(
            f"{name} has {samples} samples ({1000 * samples / rate:.0f} ms), {encoder.backbone.name} needs "
            f"{encoder.least_samples} ({1000 * encoder.least_samples / rate:.0f} ms); leave it out"
        )


def normalised(waveforms: Tensor, lengths: Tensor) -> Tensor:
    """Each utterance with mean 0 and variance 1, zero beyond its end; as transformers' feature extractors do it."""
    counts = lengths.to(waveforms.device)[:, None]
    inside = torch.arange(waveforms.shape[1], device=waveforms.device)[None] < counts
    centred = (waveforms - waveforms.masked_fill(~inside, 0).sum(1, keepdim=True) / counts).masked_fill(~inside, 0)
    return centred * (centred.square().sum(1, keepdim=True) / counts + 1e-7).rsqrt()


def hidden_states(
    encoder: SpeechEncoder,
    waveforms: Sequence[Tensor],
    layers: Layers = None,
    batch_seconds: float = 30.0,
    reduce: Callable[[Tensor], Tensor] | None = None,
    names: Sequence[str] | None = None,
) -> list[Tensor]:
    """Hidden states of utterances, each as if it were alone.

    Utterances are computed together where that changes nothing: of any lengths where the model masks
    padding exactly, else of the same length.  Longer ones than the model takes are cut into pieces of
    equal length, computed apart.

    Args:
        encoder: in evaluation mode.
        waveforms: float32 (S,) each, full scale 1, at the model's sampling rate.
        layers: see :data:`Layers`.
        batch_seconds: of audio, padding included, that are computed together at most.
        reduce: of an utterance's states, instead of them (:func:`statistics`).
        names: of the utterances, for messages.

    Returns:
        float32 (L, T, C) for each utterance, on the CPU (or what ``reduce`` makes of it).

    Raises:
        UserError: an utterance is too short, or there is no such layer.
    """
    if encoder.training:
        raise ValueError("hidden states are those of evaluation mode")
    rate = encoder.backbone.sampling_rate
    assert rate is not None
    device = next(encoder.parameters()).device
    pieces: list[tuple[int, Tensor]] = []  # with the utterance they are of
    for index, waveform in enumerate(waveforms):
        check_length(encoder, len(waveform), names[index] if names else f"utterance {index + 1}")
        pieces += [(index, part) for part in cut(waveform, encoder.most_samples, encoder.hop)]
    waiting: list[dict[int, Tensor | None]] = [{} for _ in waveforms]
    for number, (index, _) in enumerate(pieces):
        waiting[index][number] = None
    whole: list[Tensor | None] = [None] * len(waveforms)
    computed = [max(len(piece), encoder.padded_to) for _, piece in pieces]
    for batch in plan(computed, encoder.pads, round(batch_seconds * rate)):
        parts = [pieces[number][1] for number in batch]
        lengths = torch.tensor([len(part) for part in parts])
        padded = nn.utils.rnn.pad_sequence(parts, batch_first=True).to(device, torch.float32)
        with torch.inference_mode():
            encoded = encoder.encode(padded, lengths, layers)
            for row, number in enumerate(batch):
                index = pieces[number][0]
                own = waiting[index]
                length = int(encoded.lengths[row])
                own[number] = torch.stack([state[row, :length].float() for state in encoded.states])
                ready = [states for states in own.values() if states is not None]
                if len(ready) == len(own):  # nothing is kept longer than needed
                    states = ready[0] if len(ready) == 1 else torch.cat(ready, 1)
                    whole[index] = (reduce(states) if reduce else states).cpu()
                    own.clear()
    return [states for states in whole if states is not None]


def cut(waveform: Tensor, most: int | None, hop: int) -> list[Tensor]:
    """Pieces of equal length (but for the last, by less than a hop a piece) of at most ``most`` samples."""
    if most is None or len(waveform) <= most:
        return [waveform]
    count = math.ceil(len(waveform) / most)
    size = math.ceil(len(waveform) / count / hop) * hop
    if size > most:
        size = most // hop * hop
    return list(waveform.split(size))


def plan(samples: Sequence[int], pads: bool, most: int) -> list[list[int]]:
    """Batches of utterances of similar lengths (of equal ones unless ``pads``), none above ``most`` when padded."""
    batches: list[list[int]] = []
    for index in sorted(range(len(samples)), key=lambda i: (samples[i], i)):
        last = batches[-1] if batches else []
        together = last and (pads or samples[last[0]] == samples[index]) and (len(last) + 1) * samples[index] <= most
        if together:
            last.append(index)
        else:
            batches.append([index])
    return batches


def statistics(states: Tensor) -> Tensor:
    """Mean and (biased) standard deviation over time: (L, T, C) to (L, 2 C), float32."""
    states = states.float()
    mean = states.mean(1)
    deviation = (states - mean[:, None]).square().mean(1).sqrt()
    return torch.cat([mean, deviation], 1)
