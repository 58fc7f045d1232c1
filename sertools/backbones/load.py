"""A pretrained model of any family from its folder."""

from pathlib import Path
from typing import Any

from sertools.backbones import ge2e, masked, text, wav2vec, whisper
from sertools.backbones.encoder import SpeechEncoder
from sertools.backbones.folder import open_folder
from sertools.backbones.text import TextEncoder
from sertools.errors import UserError

SPEECH = (*masked.FAMILIES, "whisper", wav2vec.FAMILY, ge2e.FAMILY)


def load_speech(
    path: Path | str,
    *,
    padding: bool = True,
    random_seed: int | None = None,
    highest: int | None = None,
    device: Any = "cpu",
) -> SpeechEncoder:
    """Load a speech model, in evaluation mode and float32; nothing in the folder is run.

    Args:
        path: a folder in transformers' layout: ``config.json``, ``model.safetensors`` (or in parts),
            ``preprocessor_config.json``, and ``sertools.yaml`` (:class:`sertools.backbones.card.Card`).
        padding: for Whisper: to 30 s.
        random_seed: random weights instead of the folder's, as a control.
        highest: the last layer that is wanted; higher ones are neither loaded nor computed, where the
            family allows.
        device: a torch device.

    Raises:
        UserError: the folder is not whole, damaged, of an unknown family, or its weights are pickled.
        MissingPackage: transformers is not installed, and needed.
    """
    folder = open_folder(path, weights=random_seed is None)
    if folder.family == "whisper":
        return whisper.load_whisper(folder, random_seed, padding).to(device).eval()
    if folder.family == wav2vec.FAMILY:
        return wav2vec.load_wav2vec(folder, random_seed).to(device).eval()
    if folder.family == ge2e.FAMILY:
        return ge2e.load_ge2e(folder, random_seed).to(device).eval()
    if folder.family in masked.FAMILIES:
        return masked.load_masked(folder, random_seed, highest).to(device).eval()
    raise UserError(
        f"{path}/config.json is of model_type '{folder.family}'; speech models that are known: {', '.join(SPEECH)}"
    )


def load_text(path: Path | str, *, random_seed: int | None = None, device: Any = "cpu") -> TextEncoder:
    """Load a text model (BERT and its like) with its tokenizer; see :func:`load_speech`."""
    folder = open_folder(path, weights=random_seed is None)
    if folder.family in SPEECH or folder.family not in text.FAMILIES:
        raise UserError(
            f"{path}/config.json is of model_type '{folder.family}'; text models that are known: "
            f"{', '.join(text.FAMILIES)}"
        )
    return text.load(folder, random_seed).to(device).eval()
