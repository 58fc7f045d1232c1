"""CTranslate2's ``model.bin``: tensors in a row, each with its name, nothing that could be run.

Little-endian: version (uint32), name of the specification, revision (uint32), number of tensors (uint32); for each
its name, rank (uint8), sizes (uint32), type (uint8), bytes (uint32) and numbers; then aliases, pairs of names.  A name
is its length (uint16, with the NUL at its end) and its characters.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from sertools.errors import UserError
from sertools.files import content_hash, replacing, write_json
from sertools.reading import check_regular
from sertools.training.checkpoint import save_tensors

VERSIONS = range(3, 7)
TYPES = {
    0: torch.float32,
    1: torch.int8,
    2: torch.int16,
    3: torch.int32,
    4: torch.float16,
    5: torch.bfloat16,
}
SPECIFICATION = "WhisperSpec"
MOST_TENSORS = 100_000
RATE = 16000


@dataclass(frozen=True)
class Stored:
    """The content of a file.

    Attributes:
        specification: which kind of model it is.
        tensors: by name ("encoder/layer_0/ffn/linear_0/weight").
    """

    specification: str
    tensors: dict[str, Tensor]


def is_ctranslate2(path: Path) -> bool:
    """Whether a file begins as CTranslate2's do."""
    try:
        with open(path, "rb") as stream:
            version, length = struct.unpack("<IH", stream.read(6))
            return version in VERSIONS and 1 < length < 100 and stream.read(length).endswith(b"Spec\0")
    except (OSError, struct.error):
        return False


def read_model(path: Path, part: str = "") -> Stored:
    """Read the tensors of a file whose names begin with ``part``.

    Raises:
        UserError: it is not such a file, or it is damaged.
    """
    if not check_regular(path).is_file():
        raise UserError(f"there is no file {path}")
    if not is_ctranslate2(path):
        raise UserError(f"{path} is no model.bin of CTranslate2, versions {VERSIONS[0]} to {VERSIONS[-1]}")
    size = path.stat().st_size
    try:
        with open(path, "rb") as stream:
            _number(stream, "I")
            specification = _name(stream)
            _number(stream, "I")
            count = _number(stream, "I")
            if count > MOST_TENSORS:
                raise ValueError(f"{count} tensors")
            tensors = {}
            for _ in range(count):
                name, tensor = _tensor(stream, size, part)
                if tensor is not None:
                    tensors[name] = tensor
    except (ValueError, struct.error, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged ({error}); get it again") from error
    return Stored(specification, tensors)


def _number(stream: BinaryIO, kind: str) -> int:
    (value,) = struct.unpack(f"<{kind}", stream.read(struct.calcsize(f"<{kind}")))
    return int(value)


def _name(stream: BinaryIO) -> str:
    length = _number(stream, "H")
    text = stream.read(length)
    if len(text) != length or not text.endswith(b"\0"):
        raise ValueError("a name that does not end")
    return text[:-1].decode("ascii")


def _tensor(stream: BinaryIO, size: int, part: str) -> tuple[str, Tensor | None]:
    name = _name(stream)
    shape = [_number(stream, "I") for _ in range(_number(stream, "B"))]
    kind = _number(stream, "B")
    count = _number(stream, "I")
    if kind not in TYPES:
        raise ValueError(f"{name} has the unknown type {kind}")
    dtype = TYPES[kind]
    if count != math.prod(shape) * torch.empty(0, dtype=dtype).element_size() or stream.tell() + count > size:
        raise ValueError(f"{name} has {count} bytes, not those of its shape, or the file ends before")
    if not name.startswith(part):
        stream.seek(count, 1)
        return name, None
    content = bytearray(stream.read(count))
    return name, (torch.frombuffer(content, dtype=dtype) if count else torch.empty(0, dtype=dtype)).reshape(shape)


def convert_whisper(path: Path, folder: Path) -> dict[str, int]:
    """Write the encoder of a Whisper of CTranslate2 as a folder in transformers' layout.

    Args:
        path: ``model.bin``; float32 or float16 (weights that were made coarser are refused).
        folder: gets ``config.json``, ``preprocessor_config.json`` and ``model.safetensors``.

    Returns:
        The sizes of the encoder.

    Raises:
        UserError: it is no Whisper, or damaged.
    """
    stored = read_model(path, "encoder/")
    if stored.specification != SPECIFICATION:
        raise UserError(f"{path} is a {stored.specification}; only Whisper's encoder is converted")
    coarse = [n for n, t in stored.tensors.items() if t.dtype in (torch.int8, torch.int16) and t.dim() > 1]
    if coarse:
        raise UserError(f"{path}: {coarse[0]} is quantised; take a model in float16 or float32")
    try:
        tensors = encoder_weights(stored.tensors)
        layers = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("layers."))
        width, bins = tensors["conv1.weight"].shape[:2]
        sizes = {
            "num_mel_bins": bins,
            "d_model": width,
            "encoder_layers": layers,
            # all of Whisper's sizes have heads of 64
            "encoder_attention_heads": int(stored.tensors.get("encoder/num_heads", torch.tensor(width // 64))),
            "encoder_ffn_dim": tensors["layers.0.fc1.weight"].shape[0],
            "max_source_positions": tensors["embed_positions.weight"].shape[0],
        }
    except (KeyError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} is not a whole encoder of Whisper: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "model.safetensors") as temporary:
        save_tensors(temporary, tensors, {"format": "pt", "source": path.name, "sha256": content_hash(path)})
    preprocessor = {"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": bins, "sampling_rate": RATE}
    write_json(folder / "preprocessor_config.json", preprocessor)
    write_json(folder / "config.json", {"model_type": "whisper", "activation_function": "gelu"} | sizes)
    return sizes


NAMES = {
    "self_attention/layer_norm": "self_attn_layer_norm",
    "self_attention/linear_1": "self_attn.out_proj",
    "ffn/layer_norm": "final_layer_norm",
    "ffn/linear_0": "fc1",
    "ffn/linear_1": "fc2",
}
ENDS = {"gamma": "weight", "beta": "bias", "weight": "weight", "bias": "bias"}


def encoder_weights(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """CTranslate2's tensors below ``encoder/`` by transformers' names, float32; queries, keys and values apart.

    Raises:
        KeyError: one has a name that Whisper's encoder does not have.
        ValueError: keys have a bias.
    """
    made = {}
    for name, tensor in stored.items():
        _, *inner, end = name.split("/")
        place = "/".join(inner)
        if not inner or (end not in ENDS and end != "encodings"):
            continue  # numbers of heads and the like
        if place == "position_encodings":
            made["embed_positions.weight"] = tensor
        elif place in ("conv1", "conv2", "layer_norm"):
            made[f"{place}.{ENDS[end]}"] = tensor
        elif place.endswith("/self_attention/linear_0"):
            layer = inner[0].removeprefix("layer_")
            for projection, part in zip("qkv", tensor.chunk(3), strict=True):
                if projection == "k" and end == "bias":  # keys have none
                    if bool(part.any()):
                        raise ValueError(f"{name} is not zero for the keys")
                else:
                    made[f"layers.{layer}.self_attn.{projection}_proj.{end}"] = part
        else:
            layer = inner[0].removeprefix("layer_")
            made[f"layers.{layer}.{NAMES['/'.join(inner[1:])]}.{ENDS[end]}"] = tensor
    return {name: tensor.float() for name, tensor in sorted(made.items())}
