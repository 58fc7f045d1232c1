"""wav2vec, the first, on utterances; its folder is made by convert_checkpoint.py."""

import math

import torch
from torch import Tensor, nn

from sertools.backbones.card import Backbone
from sertools.backbones.encoder import Encoded, SpeechEncoder
from sertools.backbones.folder import Folder
from sertools.backbones.library import quiet, understood
from sertools.config import from_dict
from sertools.errors import UserError
from sertools.models.wav2vec import Wav2Vec, Wav2VecConfig

FAMILY = "wav2vec"
RATE = 16000


class Wav2VecSpeechEncoder(SpeechEncoder):
    """wav2vec: layer 0 is z, the last is c (which S3a used), between them the aggregator's layers.

    Args:
        network: encoder and aggregator.
        backbone: what it is.
    """

    def __init__(self, network: Wav2Vec, backbone: Backbone) -> None:
        least, hop = 1, 1
        for _, kernel, stride in reversed(network.config.encoder):
            least, hop = (least - 1) * stride + kernel, hop * stride
        super().__init__(backbone, False, False, least, None, hop)
        self.network = network

    def frames(self, samples: int) -> int:
        """See :class:`SpeechEncoder`."""
        for _, kernel, stride in self.network.config.encoder:
            samples = (samples - kernel) // stride + 1
        return samples

    def layer_stack(self) -> nn.ModuleList:
        """See :class:`SpeechEncoder`."""
        return self.network.feature_aggregator.conv_layers

    def convolutions(self) -> nn.Module:
        """See :class:`SpeechEncoder`."""
        return self.network.feature_extractor

    def _encode(
        self, waveforms: Tensor, lengths: Tensor, layers: list[int], time_mask: Tensor | None,
        channel_mask: Tensor | None,
    ) -> Encoded:  # fmt: skip
        if bool((lengths < waveforms.shape[1]).any()) and not self.training:
            raise ValueError("wav2vec normalises over time: padding would change what it computes")
        states = self.network(waveforms, max(layers), time_mask, channel_mask)
        frames = torch.tensor([self.frames(samples) for samples in lengths.tolist()])
        return Encoded([states[layer] for layer in layers], frames)

    def _alone(self, waveform: Tensor, layers: list[int]) -> list[Tensor]:
        states = self.network(waveform, max(layers), None, None)
        return [states[layer] for layer in layers]


def load_wav2vec(folder: Folder, random_seed: int | None) -> Wav2VecSpeechEncoder:
    """Load wav2vec; see :func:`sertools.backbones.load.load_speech`."""
    values = {key: value for key, value in folder.config.items() if key not in ("model_type", "architectures")}
    config = from_dict(Wav2VecConfig, values, str(folder.path / "config.json"))
    with quiet(), understood(str(folder.path)):
        torch.manual_seed(random_seed or 0)
        network = Wav2Vec(config)
    if random_seed is None:
        found, wanted = folder.tensors(), network.state_dict()
        problem = next((name for name in wanted if name not in found or found[name].shape != wanted[name].shape), None)
        if problem is not None:
            raise UserError(f"{folder.path}: the weights have no {problem} of the size that config.json says")
        network.load_state_dict({name: found[name].float() for name in wanted})
    hop = math.prod(stride for _, _, stride in config.encoder)
    backbone = folder.backbone(len(config.aggregator) + 1, config.aggregator[-1][0], RATE, hop, random_seed)
    return Wav2VecSpeechEncoder(network, backbone)
