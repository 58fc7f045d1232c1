"""fairseq's checkpoint of the first wav2vec: its layout is in the arguments of the training, as texts."""

import ast
from pathlib import Path
from typing import Any

from sertools.config import to_dict
from sertools.errors import UserError
from sertools.files import content_hash, replacing, write_json
from sertools.foreign.archive import load_tensors, open_foreign
from sertools.foreign.convert import take_apart
from sertools.foreign.machine import Mapping, Refused
from sertools.models.wav2vec import Wav2VecConfig
from sertools.training.checkpoint import save_tensors

PLACES = (("args", "model"), ("model_cfg", "model_weight"))
"""Keys of arguments and weights: in fairseq's file, and in s3prl's copy of it."""
USED = ("feature_extractor.", "feature_aggregator.")


def convert_wav2vec(path: Path, folder: Path) -> Wav2VecConfig:
    """Write a folder that :func:`sertools.backbones.load.load_speech` reads.

    Args:
        path: ``wav2vec_large.pt``, or a copy of s3prl's.
        folder: gets ``config.json`` and ``model.safetensors``; what predicts the future is left out.

    Raises:
        UserError: it is no such checkpoint, or of a layout that is not known.
    """
    opened = open_foreign(path)
    found = _find(opened.content) if isinstance(opened.content, Mapping) else None
    if found is None:
        raise UserError(f"{path} is no checkpoint of the first wav2vec (args with conv_aggregator_layers, and model)")
    arguments, weights = found
    config = layout(arguments, path)
    views = {n: view for n, view in take_apart(weights, str(path)).views.items() if n.startswith(USED)}
    odd = [n for n in views if "conv_layers" not in n]
    if odd:
        raise UserError(f"{path}: {odd[0]}, a layer that the first wav2vec's module here does not have")
    tensors = load_tensors(opened, views)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "model.safetensors") as temporary:
        save_tensors(temporary, tensors, {"format": "pt", "source": path.name, "sha256": content_hash(path)})
    write_json(folder / "config.json", {"model_type": "wav2vec"} | to_dict(config))
    return config


def layout(arguments: Mapping, where: Path) -> Wav2VecConfig:
    """The layout that the training's arguments describe.

    Raises:
        UserError: it is one that the module does not know.
    """
    if arguments.get("aggregator", "cnn") != "cnn":
        raise UserError(f"{where}: an aggregator of the kind {arguments['aggregator']}; only cnn is known")
    if arguments.get("skip_connections_feat") or arguments.get("vq_type", "none") not in (None, "none"):
        raise UserError(f"{where}: a wav2vec with sums over the encoder's layers or with codes, which is not known")
    try:
        return Wav2VecConfig(
            encoder=_rows(arguments["conv_feature_layers"]),
            aggregator=_rows(arguments["conv_aggregator_layers"]),
            log_compression=bool(arguments.get("log_compression", False)),
            skip_aggregator=bool(arguments.get("skip_connections_agg", False)),
            residual_scale=float(arguments.get("residual_scale", 0.5)),
            affine=not arguments.get("non_affine_group_norm", False),
            aggregator_bias=not arguments.get("no_conv_bias", False),
            zero_pad=bool(arguments.get("agg_zero_pad", False)),
            activation=str(arguments.get("activation", "relu")),
        )
    except (KeyError, ValueError, TypeError, SyntaxError) as error:
        raise UserError(f"{where}: its arguments do not say the layout of the network ({error})") from error


def _rows(text: Any) -> tuple[tuple[int, int, int], ...]:
    """``[(512, 10, 5), (512, 8, 4)]``, perhaps with sums or repeats: ``[(512, 2, 1)] * 3``."""
    if not isinstance(text, str) or len(text) > 10_000:
        raise ValueError("layers that are no text")
    return tuple((int(a), int(b), int(c)) for a, b, c in _value(ast.parse(text.strip(), mode="eval").body))


def _value(node: ast.expr) -> list[Any]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _value(node.left) + _value(node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        count = ast.literal_eval(node.right)
        if not isinstance(count, int) or not 0 <= count <= 100:
            raise ValueError("layers that are repeated too often")
        return _value(node.left) * count
    return list(ast.literal_eval(node))


def _find(content: Mapping) -> tuple[Mapping, Mapping] | None:
    for arguments_key, weights_key in PLACES:
        arguments, weights = content.get(arguments_key), content.get(weights_key)
        if isinstance(arguments, Refused):  # an argparse.Namespace
            arguments = arguments.state
        if isinstance(arguments, Mapping) and isinstance(weights, Mapping) and "conv_aggregator_layers" in arguments:
            return arguments, weights
    return None
