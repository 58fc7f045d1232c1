"""CTranslate2's Whisper files, made up by the format's description."""

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sertools.backbones.load import load_speech
from sertools.errors import UserError
from sertools.foreign.ctranslate2 import convert_whisper, read_model

KINDS = {torch.float32: 0, torch.int8: 1, torch.int16: 2, torch.float16: 4}


def text(value: str) -> bytes:
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"


def write(path: Path, tensors: dict[str, torch.Tensor], specification: str = "WhisperSpec") -> None:
    parts = [struct.pack("<I", 6), text(specification), struct.pack("<II", 3, len(tensors))]
    for name, tensor in tensors.items():
        content = tensor.contiguous().numpy().tobytes()
        parts += [text(name), struct.pack("<B", tensor.dim()), struct.pack(f"<{tensor.dim()}I", *tensor.shape)]
        parts += [struct.pack("<BI", KINDS[tensor.dtype], len(content)), content]
    path.write_bytes(b"".join(parts) + struct.pack("<I", 0))


def model() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    made = {
        "decoder/embeddings/weight": torch.randn(9, 16), "encoder/num_heads": torch.tensor(2, dtype=torch.int16),
        "encoder/conv1/weight": torch.randn(16, 80, 3), "encoder/conv1/bias": torch.randn(16),
        "encoder/conv2/weight": torch.randn(16, 16, 3), "encoder/conv2/bias": torch.randn(16),
        "encoder/layer_norm/gamma": torch.randn(16), "encoder/layer_norm/beta": torch.randn(16),
        "encoder/position_encodings/encodings": torch.randn(20, 16),
    }  # fmt: skip
    for layer in range(2):
        place = f"encoder/layer_{layer}"
        bias = torch.randn(48)
        bias[16:32] = 0
        made |= {
            f"{place}/self_attention/linear_0/weight": torch.randn(48, 16),
            f"{place}/self_attention/linear_0/bias": bias,
            f"{place}/self_attention/linear_1/weight": torch.randn(16, 16),
            f"{place}/self_attention/linear_1/bias": torch.randn(16),
            f"{place}/ffn/linear_0/weight": torch.randn(24, 16), f"{place}/ffn/linear_0/bias": torch.randn(24),
            f"{place}/ffn/linear_1/weight": torch.randn(16, 24), f"{place}/ffn/linear_1/bias": torch.randn(16),
        }  # fmt: skip
        for norm in ("self_attention/layer_norm", "ffn/layer_norm"):
            made |= {f"{place}/{norm}/{end}": torch.randn(16) for end in ("gamma", "beta")}
    return {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in made.items()}


def test_encoder_by_transformers_names(tmp_path: Path) -> None:
    tensors = model()
    write(tmp_path / "model.bin", tensors)
    sizes = convert_whisper(tmp_path / "model.bin", tmp_path / "w")
    assert sizes == {
        "num_mel_bins": 80, "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 24,
        "max_source_positions": 20,
    }  # fmt: skip
    found = load_file(tmp_path / "w/model.safetensors")
    stacked = [found[f"layers.1.self_attn.{name}_proj.weight"] for name in "qkv"]
    torch.testing.assert_close(torch.cat(stacked), tensors["encoder/layer_1/self_attention/linear_0/weight"].float())
    torch.testing.assert_close(found["layers.0.fc2.bias"], tensors["encoder/layer_0/ffn/linear_1/bias"].float())
    assert len(found) == 4 + 1 + 2 + 2 * 15
    encoder = load_speech(tmp_path / "w")
    assert (encoder.backbone.layers, encoder.backbone.dimension) == (3, 16)
    assert json.loads((tmp_path / "w/preprocessor_config.json").read_text())["sampling_rate"] == 16000


def test_damaged_and_other_files(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    write(path, model())
    whole = path.read_bytes()
    for size in (10, 40, 200, len(whole) // 2):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"model\.bin is (damaged|no model\.bin)"):
            read_model(path)
    write(path, model(), "TransformerSpec")
    with pytest.raises(UserError, match="is a TransformerSpec"):
        convert_whisper(path, tmp_path / "w")
    lacking = model()
    del lacking["encoder/conv1/weight"]
    write(path, lacking)
    with pytest.raises(UserError, match="not a whole encoder"):
        convert_whisper(path, tmp_path / "w")
    write(path, model() | {"encoder/layer_0/ffn/linear_0/weight": torch.ones(24, 16, dtype=torch.int8)})
    with pytest.raises(UserError, match="quantised"):
        convert_whisper(path, tmp_path / "w")
    path.write_text("{}")
    with pytest.raises(UserError, match=r"no model\.bin"):
        read_model(path)
