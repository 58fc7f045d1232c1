"""A speaker encoder trained by GE2E (Wan et al. 2018, arXiv 1710.10467), as Resemblyzer has it: LSTMs on mel energies.

A frame every 10 ms, 40 mel energies (not their logarithms) of 25 ms.  Speech below -30 dB of full scale is raised to
that, as Resemblyzer does; pauses, which it takes out first, stay.
"""

import torch
from torch import Tensor, nn

from sertools.backbones.card import Backbone
from sertools.backbones.encoder import Encoded, SpeechEncoder
from sertools.backbones.folder import Folder
from sertools.backbones.library import quiet
from sertools.errors import UserError
from sertools.models.whisper import mel_filters

FAMILY = "ge2e"
RATE, HOP, WINDOW = 16000, 160, 400
QUIETEST = 10 ** (-30 / 20)
"""Root mean square to which speech is raised."""
SIZES = ("num_mel_bins", "hidden_size", "num_layers")


class SpeakerSpeechEncoder(SpeechEncoder):
    """The LSTMs of a speaker encoder: layer 0 is what the first gives, the last what the embedding is made of.

    An LSTM hears what was before a frame only, so padding after the end changes nothing.

    Args:
        bins: mel energies of a frame.
        dim: of the LSTMs.
        count: of them.
        backbone: what it is.
    """

    def __init__(self, bins: int, dim: int, count: int, backbone: Backbone) -> None:
        super().__init__(backbone, False, True, WINDOW // 2 + 1, None, HOP)
        self.layers = nn.ModuleList(nn.LSTM(dim if n else bins, dim, batch_first=True) for n in range(count))
        self.register_buffer("filters", mel_filters(bins, RATE, WINDOW), persistent=False)

    def frames(self, samples: int) -> int:
        """See :class:`SpeechEncoder`."""
        return samples // HOP + 1

    def layer_stack(self) -> nn.ModuleList:
        """See :class:`SpeechEncoder`."""
        return self.layers

    def convolutions(self) -> nn.Module:
        """See :class:`SpeechEncoder`; there are none."""
        return nn.Module()

    def _encode(
        self, waveforms: Tensor, lengths: Tensor, layers: list[int], time_mask: Tensor | None,
        channel_mask: Tensor | None,
    ) -> Encoded:  # fmt: skip
        if channel_mask is not None:
            raise UserError(
                f"data.channel_mask_starts: {self.backbone.name} has no channels that could be masked; set 0"
            )
        with torch.autocast(waveforms.device.type, enabled=False):
            mels = [self._mel(one[:n]) for one, n in zip(waveforms, lengths.tolist(), strict=True)]
        x = nn.utils.rnn.pad_sequence(mels, batch_first=True)
        if time_mask is not None:
            x = x.masked_fill(time_mask.to(x.device)[..., None], 0.0)
        return Encoded(self._states(x, layers), torch.tensor([len(one) for one in mels]))

    def _alone(self, waveform: Tensor, layers: list[int]) -> list[Tensor]:
        return self._states(self._mel(waveform[0])[None], layers)

    def _mel(self, waveform: Tensor) -> Tensor:
        """(frames, bins)."""
        loudness = waveform.square().mean().sqrt().clamp(min=1e-8)
        waveform = waveform * (QUIETEST / loudness).clamp(min=1.0)
        window = torch.hann_window(WINDOW, device=waveform.device)
        power = torch.stft(waveform, WINDOW, HOP, window=window, return_complex=True).abs().square()
        return (self.get_buffer("filters") @ power).t()

    def _states(self, x: Tensor, layers: list[int]) -> list[Tensor]:
        states = []
        for layer in self.layers[: max(layers) + 1]:
            x = layer(x)[0]
            states.append(x)
        return [states[layer] for layer in layers]


def load_ge2e(folder: Folder, random_seed: int | None) -> SpeakerSpeechEncoder:
    """Load a speaker encoder; see :func:`sertools.backbones.load.load_speech`.

    Weights are named as in Resemblyzer's ``pretrained.pt``; its embedding layer is left out.
    """
    sizes = [folder.config.get(name) for name in SIZES]
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise UserError(f"{folder.path}/config.json must say {', '.join(SIZES)}")
    bins, dim, count = (int(size) for size in sizes if size is not None)
    backbone = folder.backbone(count, dim, RATE, HOP, random_seed)
    with quiet():
        torch.manual_seed(random_seed or 0)
        encoder = SpeakerSpeechEncoder(bins, dim, count, backbone)
    if random_seed is None:
        found = folder.tensors()
        for number, layer in enumerate(encoder.layers):
            for name, parameter in layer.named_parameters():
                stored = f"lstm.{name.removesuffix('_l0')}_l{number}"
                if stored not in found or found[stored].shape != parameter.shape:
                    raise UserError(f"{folder.path}: the weights have no {stored} of the size that config.json says")
                parameter.data.copy_(found[stored].float())
    return encoder
