"""Whisper's encoder on utterances: with its thirty seconds of padding, as published, or without."""

import torch
from torch import Tensor, nn

from sertools.backbones.card import Backbone
from sertools.backbones.encoder import Encoded, SpeechEncoder
from sertools.backbones.folder import Folder, without_prefix
from sertools.backbones.library import quiet, understood
from sertools.errors import UserError
from sertools.models.whisper import WhisperConfig, WhisperEncoder, log_mel, mel_filters

PREFIXES = ("model.encoder.", "encoder.", "")
RATE, HOP = 16000, 320
LEAST = 400  # samples: a window


class WhisperSpeechEncoder(SpeechEncoder):
    """Whisper's encoder.

    An utterance is padded with silence to 30 s, as Whisper was trained, and the frames of the utterance itself
    are kept; or computed without padding, which is some seven times as fast and not quite the same.  Longer
    ones are cut.

    Args:
        network: the encoder.
        backbone: what it is.
        padding: to 30 s.
    """

    def __init__(self, network: WhisperEncoder, backbone: Backbone, padding: bool) -> None:
        most = network.config.max_source_positions * HOP
        super().__init__(backbone, False, True, LEAST, most, HOP)
        self.network = network
        self.padding = padding
        self.padded_to = most if padding else 0
        self.register_buffer("filters", mel_filters(network.config.num_mel_bins), persistent=False)

    def frames(self, samples: int) -> int:
        """See :class:`SpeechEncoder`."""
        return (samples // (HOP // 2) + 1) // 2

    def layer_stack(self) -> nn.ModuleList:
        """See :class:`SpeechEncoder`."""
        return self.network.layers

    def checkpoint_gradients(self) -> None:
        """See :class:`SpeechEncoder`."""
        self.network.checkpointing = True

    def convolutions(self) -> nn.Module:
        """See :class:`SpeechEncoder`."""
        return nn.ModuleList([self.network.conv1, self.network.conv2])

    def _encode(
        self, waveforms: Tensor, lengths: Tensor, layers: list[int], time_mask: Tensor | None,
        channel_mask: Tensor | None,
    ) -> Encoded:  # fmt: skip
        filters = self.get_buffer("filters")
        # a sum of energies keeps its digits, whatever the layers compute in
        with torch.autocast(waveforms.device.type, enabled=False):
            mel, mel_lengths, time_mask = self._input(waveforms, lengths, filters, time_mask)
        frames = torch.tensor([self.frames(samples) for samples in lengths.tolist()])
        states = self.network(mel, mel_lengths, max(layers), time_mask, channel_mask)
        return Encoded([states[layer][:, : int(frames.max())] for layer in layers], frames)

    def _alone(self, waveform: Tensor, layers: list[int]) -> list[Tensor]:
        if self.padding:
            raise UserError(f"{self.backbone.name} is computed with its padding to 30 s; choose padding: false")
        states = self.network(log_mel(waveform[0], self.get_buffer("filters"))[None], None, max(layers))
        return [states[layer] for layer in layers]

    def _input(
        self, waveforms: Tensor, lengths: Tensor, filters: Tensor, time_mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """What the network reads, the lengths of it if there is padding, and the mask for as many frames."""
        size = self.network.config.max_source_positions * HOP
        if self.padding:
            padded = nn.functional.pad(waveforms[:, :size], (0, max(0, size - waveforms.shape[1])))
            mel, mel_lengths = torch.stack([log_mel(one, filters) for one in padded]), None
            if time_mask is not None:
                time_mask = nn.functional.pad(time_mask, (0, size // HOP - time_mask.shape[1]))
        else:
            mels = [log_mel(one[:n], filters).t() for one, n in zip(waveforms, lengths.tolist(), strict=True)]
            mel_lengths = torch.tensor([len(one) for one in mels])
            mel = nn.utils.rnn.pad_sequence(mels, batch_first=True).transpose(1, 2)
        return mel, mel_lengths, time_mask


def load_whisper(folder: Folder, random_seed: int | None, padding: bool) -> WhisperSpeechEncoder:
    """Load Whisper's encoder; see :func:`sertools.backbones.load.load_speech`."""
    values = folder.config
    activation = values.get("activation_function", "gelu")
    if activation != "gelu":
        raise UserError(f"{folder.path}: an activation of {activation}; Whisper's is gelu")
    names = WhisperConfig.__dataclass_fields__
    missing = [name for name in names if not isinstance(values.get(name), int)]
    if missing:
        raise UserError(f"{folder.path}/config.json does not say {missing[0]}; get it again")
    config = WhisperConfig(**{name: values[name] for name in names})
    with quiet(), understood(str(folder.path)):
        torch.manual_seed(random_seed or 0)
        network = WhisperEncoder(config)
        if random_seed is not None:
            draw(network)
    if random_seed is None:
        found = without_prefix(folder.tensors(), PREFIXES)
        # a whole model without its prefix has the decoder beside it
        wanted = network.state_dict()
        problem = next((name for name in wanted if name not in found or found[name].shape != wanted[name].shape), None)
        if problem is not None:
            raise UserError(f"{folder.path}: the weights have no {problem} of the size that config.json says")
        network.load_state_dict({name: found[name].float() for name in wanted})
    backbone = folder.backbone(config.encoder_layers + 1, config.d_model, RATE, HOP, random_seed)
    return WhisperSpeechEncoder(network, backbone, padding)


def draw(network: WhisperEncoder) -> None:
    """Random weights as transformers draws them: normal of deviation 0.02, no bias; positions are sinusoids."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv1d):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    positions = network.embed_positions.weight
    half = positions.shape[1] // 2
    rates = torch.exp(-torch.arange(half) * (torch.log(torch.tensor(10000.0)) / (half - 1)))
    angles = torch.arange(len(positions))[:, None] * rates[None]
    with torch.no_grad():
        positions.copy_(torch.cat([angles.sin(), angles.cos()], 1))
