"""What ``config.json`` and ``preprocessor_config.json`` of a pretrained model can hold: types and ranges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sertools.errors import UserError
from sertools.limits import HIGHEST_RATE, LOWEST_RATE, ListOf, Number, Record, Text, Truth, optional, shown


@dataclass(frozen=True)
class _Precision:
    """In which the weights were kept; some releases of transformers fail on another word, others overlook it."""

    names: tuple[str, ...] = ("float32", "float16", "bfloat16", "float64")

    def check(self, value: Any, where: str) -> None:
        if value not in self.names:
            raise UserError(f"{where} must be one of {', '.join(self.names)}, not {shown(value)}")


_WIDTH = optional(Number(1, 32_768, whole=True))
_DEPTH = optional(Number(1, 256, whole=True))
_SHARE = optional(Number(0, 1))
_SIZES = optional(ListOf(Number(1, 32_768, whole=True), 64, 1))
CONFIG = Record(
    {
        "model_type": Text(100),
        "architectures": optional(ListOf(Text(200), 20)),
        **dict.fromkeys(
            ("hidden_size", "intermediate_size", "d_model", "encoder_ffn_dim", "dim", "hidden_dim"), _WIDTH
        ),
        **dict.fromkeys(("embedding_size", "output_hidden_size", "num_mel_bins"), _WIDTH),
        **dict.fromkeys(("num_hidden_layers", "encoder_layers", "n_layers", "num_feat_extract_layers"), _DEPTH),
        **dict.fromkeys(("num_attention_heads", "encoder_attention_heads", "n_heads"), _DEPTH),
        **dict.fromkeys(("conv_dim", "conv_kernel", "conv_stride"), _SIZES),
        **dict.fromkeys(("num_conv_pos_embeddings", "num_conv_pos_embedding_groups"), _WIDTH),
        **dict.fromkeys(("attention_dropout", "hidden_dropout", "activation_dropout", "feat_proj_dropout"), _SHARE),
        **dict.fromkeys(("torch_dtype", "dtype"), optional(_Precision())),
        "vocab_size": optional(Number(1, 2_000_000, whole=True)),
        "max_position_embeddings": optional(Number(1, 1_000_000, whole=True)),
        "max_source_positions": optional(Number(1, 100_000, whole=True)),
    }
)
PREPROCESSOR = Record(
    {"sampling_rate": optional(Number(LOWEST_RATE, HIGHEST_RATE, whole=True)), "do_normalize": optional(Truth())}
)
MOST_RANDOM = 3_000_000_000
"""Parameters of a network with random weights, for which no file of weights says how large it is."""
_NAMES = (
    ("num_hidden_layers", "encoder_layers", "n_layers"), ("hidden_size", "d_model", "dim"),
    ("intermediate_size", "encoder_ffn_dim", "hidden_dim"),
)  # fmt: skip


def check_network(config: Mapping[str, Any], weights: Sequence[Path], where: Path) -> None:
    """Check that the network that a configuration describes is not larger than its weights are.

    Raises:
        UserError: it is, or there are no weights and it is larger than any that there is: memory would end.
    """
    depth, width, inner = (next((config[name] for name in names if config.get(name)), 0) for names in _NAMES)
    # attention and feed-forward matrices of the layers alone
    needed = depth * width * (4 * width + 2 * inner)
    # of a byte at least
    have = sum(path.stat().st_size for path in weights) if weights else MOST_RANDOM
    if needed > have:
        than = f"the weights beside it are {have} bytes" if weights else f"at most {MOST_RANDOM:g} are made"
        raise UserError(f"{where} describes a network of {needed:g} parameters and more, and {than}; get both again")
