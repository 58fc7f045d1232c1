"""wav2vec 2.0 and its kin (HuBERT, WavLM, data2vec, ...), by transformers."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from sertools.backbones.card import Backbone
from sertools.backbones.encoder import Encoded, SpeechEncoder
from sertools.backbones.folder import Folder
from sertools.backbones.library import quiet, transformers_for, understood
from sertools.errors import UserError
from sertools.models.gelu import mend_gelu

FAMILIES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech-sat", "unispeech", "wav2vec2-conformer")
# Convolutions over frames that are several deep carry padding into an utterance, whatever is masked.
EXACT_PADDING = ("wav2vec2", "hubert", "wavlm", "unispeech-sat", "unispeech")
NOT_NEEDED = ("masked_spec_embed",)


class MaskedSpeechEncoder(SpeechEncoder):
    """A model of the wav2vec 2.0 family.

    Layer 0 is what the first layer reads (after the positional convolution), the last is the model's output.

    Args:
        network: transformers' model.
        backbone: what it is.
        normalize: from ``preprocessor_config.json``.
    """

    def __init__(self, network: nn.Module, backbone: Backbone, normalize: bool) -> None:
        config: Any = network.config
        self.kernels, self.strides = list(config.conv_kernel), list(config.conv_stride)
        least, hop = 1, 1
        for kernel, stride in zip(reversed(self.kernels), reversed(self.strides), strict=True):
            least, hop = (least - 1) * stride + kernel, hop * stride
        pads = (
            config.model_type in EXACT_PADDING
            and config.feat_extract_norm == "layer"
            and not getattr(config, "conv_pos_batch_norm", False)
        )
        super().__init__(backbone, normalize, pads, least, None, hop)
        self.network = network

    def frames(self, samples: int) -> int:
        """See :class:`SpeechEncoder`."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            samples = (samples - kernel) // stride + 1
        return samples

    def layer_stack(self) -> nn.ModuleList:
        """See :class:`SpeechEncoder`."""
        return self.network.encoder.layers  # type: ignore[return-value,union-attr]

    def convolutions(self) -> nn.Module:
        """See :class:`SpeechEncoder`."""
        return self.network.feature_extractor  # type: ignore[return-value]

    def checkpoint_gradients(self) -> None:
        """See :class:`SpeechEncoder`."""
        network: Any = self.network
        # renamed in transformers 5
        enable = getattr(network, "activation_checkpointing_enable", None) or network.gradient_checkpointing_enable
        # the other way gives no gradients where what the first layer reads has none
        enable({"use_reentrant": False})

    def _encode(
        self, waveforms: Tensor, lengths: Tensor, layers: list[int], time_mask: Tensor | None,
        channel_mask: Tensor | None,
    ) -> Encoded:  # fmt: skip
        mask = None
        if bool((lengths < waveforms.shape[1]).any()):
            if not self.pads and not self.training:
                raise ValueError(f"{self.backbone.family}: padding would change what it computes")
            inside = torch.arange(waveforms.shape[1])[None] < lengths[:, None]
            mask = inside.to(waveforms.device, torch.long)
        masked = {} if time_mask is None else {"mask_time_indices": time_mask.to(waveforms.device)}
        with warnings.catch_warnings(), self._without(channel_mask):
            warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")  # WavLM in torch 2
            output = self.network(waveforms, attention_mask=mask, output_hidden_states=True, **masked)
        frames = torch.tensor([self.frames(samples) for samples in lengths.tolist()])
        return Encoded([output.hidden_states[layer] for layer in layers], frames)

    def _alone(self, waveform: Tensor, layers: list[int]) -> list[Tensor]:
        hidden = self.network(waveform, output_hidden_states=True, return_dict=True).hidden_states
        return [hidden[layer] for layer in layers]

    @contextmanager
    def _without(self, channel_mask: Tensor | None) -> Iterator[None]:
        """Let channels of what the transformer reads be zero; masked frames keep their vector whole."""
        if channel_mask is None:
            yield
            return

        def silence(module: nn.Module, inputs: Any, output: Any) -> Any:
            hidden = output[0] if isinstance(output, tuple) else output
            hidden = hidden.masked_fill(channel_mask.to(hidden.device)[:, None], 0.0)
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        projection: nn.Module = self.network.feature_projection  # type: ignore[assignment]
        hook = projection.register_forward_hook(silence)
        try:
            yield
        finally:
            hook.remove()


def load_masked(folder: Folder, random_seed: int | None, highest: int | None) -> MaskedSpeechEncoder:
    """Load a model of the family; see :func:`sertools.backbones.load.load_speech`."""
    transformers = transformers_for(f"the model {folder.path}")
    with understood(str(folder.path)):
        return _masked(transformers, folder, random_seed, highest)


def _masked(transformers: Any, folder: Folder, random_seed: int | None, highest: int | None) -> MaskedSpeechEncoder:
    rate, normalize = folder.input_scale()
    config = transformers.AutoConfig.from_pretrained(folder.path, local_files_only=True, trust_remote_code=False)
    config.layerdrop = 0.0  # with layers dropped, there would be fewer hidden states than layers
    config.apply_spec_augment, config.mask_time_prob = True, 0.05  # else there is no vector for masked frames
    layers = config.num_hidden_layers
    if highest is not None and highest < layers:
        # normalisation after the last layer must not fall on a state in between
        last_normalised = getattr(config, "do_stable_layer_norm", False) or folder.family == "wav2vec2-conformer"
        config.num_hidden_layers = highest + 1 if last_normalised else max(highest, 1)
    with quiet():
        torch.manual_seed(random_seed or 0)
        if random_seed is not None:
            network = transformers.AutoModel.from_config(config, trust_remote_code=False)
        else:
            network = load_exactly(transformers.AutoModel, folder, config, NOT_NEEDED)
    # masks are the training's own, so that it resumes exactly: transformers' are from numpy's global numbers
    network.config.mask_time_prob = network.config.mask_feature_prob = 0.0
    hop = math.prod(config.conv_stride)
    mend_gelu(network)
    backbone = folder.backbone(layers + 1, config.hidden_size, rate, hop, random_seed)
    return MaskedSpeechEncoder(network.float(), backbone, normalize)


def load_exactly(maker: Any, folder: Folder, config: Any, not_needed: tuple[str, ...]) -> Any:
    """``from_pretrained`` of a folder, which fails where a weight is missing.

    Raises:
        UserError: the file lacks weights, or they do not fit the configuration.
    """
    try:
        network, found = maker.from_pretrained(
            folder.path,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise UserError(f"{folder.path} cannot be loaded: {str(error).splitlines()[0]}") from error
    missing = sorted(name for name in found["missing_keys"] if not any(part in name for part in not_needed))
    if missing:
        raise UserError(
            f"{folder.path}: the weights lack {missing[0]}"
            + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
            + "; the file is of another model than config.json, or not whole: get the folder again"
        )
    return network
