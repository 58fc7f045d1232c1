"""Tiny models with random weights, written as transformers writes them."""

import json
from pathlib import Path
from typing import Any

import torch

SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
SPEECH: dict[str, Any] = SIZES | {
    "conv_dim": [8, 8, 8], "conv_kernel": [10, 4, 3], "conv_stride": [5, 4, 2], "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "vocab_size": 8,
}  # fmt: skip
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "##s", "run", "##ning", "'", "t", "don", "fast"]


def tiny_speech(folder: Path, kind: str, seed: int = 1, normalize: bool = True, **changes: Any) -> Any:
    """Write a model of the wav2vec 2.0 family; give transformers' own, in evaluation mode."""
    import transformers

    config = getattr(transformers, f"{kind}Config")(**SPEECH | changes)
    torch.manual_seed(seed)
    model = getattr(transformers, f"{kind}Model")(config).eval()
    for parameter in model.parameters():  # transformers' are so small that layers hardly differ
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    scale = {"sampling_rate": 16000, "do_normalize": normalize, "feature_size": 1, "padding_value": 0.0}
    (folder / "preprocessor_config.json").write_text(json.dumps(scale))
    return model


def tiny_whisper(folder: Path, seed: int = 1, positions: int = 50) -> Any:
    """Write a whole Whisper (a second long); give transformers' own."""
    import transformers

    config = transformers.WhisperConfig(
        vocab_size=20, num_mel_bins=80, d_model=16, encoder_layers=3, encoder_attention_heads=2, encoder_ffn_dim=24,
        decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=24, max_source_positions=positions,
        max_target_positions=8, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=3,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = transformers.WhisperModel(config).eval()
    for parameter in model.encoder.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return model


def tiny_bert(folder: Path, seed: int = 1) -> Any:
    """Write a BERT with its tokenizer; give transformers' own."""
    import transformers

    config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=12, **SIZES)
    torch.manual_seed(seed)
    model = transformers.BertModel(config).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=12)
    tokenizer.save_pretrained(folder)
    return model


def waveforms(*samples: int) -> list[torch.Tensor]:
    """Noise with an offset, so that normalising it changes it."""
    generator = torch.Generator().manual_seed(3)
    return [0.1 * torch.randn(count, generator=generator) + 0.02 for count in samples]
