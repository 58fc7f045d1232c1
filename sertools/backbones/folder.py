"""A folder with a pretrained model in transformers' layout: what is in it, checked before anything is loaded."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sertools.backbones import fields
from sertools.backbones.card import CARD, UNKNOWN, Backbone, Card, Origin, Supervision
from sertools.config import load_config
from sertools.errors import UserError
from sertools.files import content_hash, json_hash, read_json

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
SUPERVISED = ("ForCTC", "Classification", "ForConditionalGeneration", "ForQuestionAnswering")
SELF_SUPERVISED = ("ForPreTraining", "ForMaskedLM")
MADE_BY = "whoever published the model: get all files of its folder"


@dataclass(frozen=True)
class Folder:
    """Its content but for the weights.

    Attributes:
        path: of the folder.
        config: ``config.json``.
        preprocessor: ``preprocessor_config.json``; empty where there is none.
        card: ``sertools.yaml``; all unknown where there is none.
        weights: the safetensors files.
    """

    path: Path
    config: dict[str, Any]
    preprocessor: dict[str, Any]
    card: Card
    weights: tuple[Path, ...]

    @property
    def family(self) -> str:
        """The model type that its configuration names."""
        return str(self.config.get("model_type", ""))

    @property
    def name(self) -> str:
        """For tables."""
        return self.card.name or self.path.resolve().name

    def supervision(self) -> Supervision:
        """As the card says, or else the configuration: a model with a head for transcripts or labels is supervised."""
        if self.card.supervision != UNKNOWN:
            return self.card.supervision
        heads = [str(name) for name in self.config.get("architectures") or ()]
        if self.family == "whisper" or any(part in head for head in heads for part in SUPERVISED):
            return "supervised"
        return "self-supervised" if any(part in head for head in heads for part in SELF_SUPERVISED) else "unknown"

    def origin(self, seed: int | None = None) -> Origin:
        """Where the model is from; ``seed`` is of random weights, None for those of the folder."""
        return Origin(
            name=self.name if seed is None else f"{self.name} (random weights)",
            family=self.family,
            supervision="random" if seed is not None else self.supervision(),
            licence=self.card.licence,
            training_data=self.card.training_data,
            corpora=self.card.corpora,
            utterances=self.card.utterances if seed is None else "",
            hash=self.hash() if seed is None else json_hash([self.config, self.preprocessor, "random weights", seed]),
        )

    def backbone(
        self, layers: int, dimension: int, rate: int | None = None, hop: int | None = None, seed: int | None = None
    ) -> Backbone:
        """All that is known of the model.

        Args:
            layers: hidden states that it gives.
            dimension: of each.
            rate: sampling rate in Hz, None for text.
            hop: samples from frame to frame, None for text.
            seed: see :meth:`origin`.
        """
        return Backbone(
            **vars(self.origin(seed)),
            layers=layers,
            dimension=dimension,
            frame_rate=rate / hop if rate and hop else None,
            sampling_rate=rate,
        )

    def hash(self) -> str:
        """SHA-256 of all that decides on what it computes."""
        digest = hashlib.sha256(json_hash([self.config, self.preprocessor]).encode())
        for path in self.weights:
            digest.update(content_hash(path).encode())
        for path in sorted(self.path.glob("*")):
            if path.name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt"):
                digest.update(content_hash(path).encode())
        return digest.hexdigest()

    def input_scale(self) -> tuple[int, bool]:
        """Sampling rate in Hz, and whether each utterance is brought to mean 0 and variance 1.

        Raises:
            UserError: neither ``preprocessor_config.json`` nor the card says it; a guess would be
                wrong for half of the models.
        """
        rate = self.preprocessor.get("sampling_rate", self.card.sampling_rate)
        normalize = self.preprocessor.get("do_normalize", self.card.do_normalize)
        if rate is None or normalize is None:
            raise UserError(
                f"{self.path}: nothing says the sampling rate and scale of its input: get {PREPROCESSOR} too, "
                f"or write {self.path / CARD} with the lines 'sampling_rate: 16000' and 'do_normalize: true' (or false)"
            )
        return int(rate), bool(normalize)

    def tensors(self) -> dict[str, Tensor]:
        """All weights by name, on the CPU."""
        found: dict[str, Tensor] = {}
        for path in self.weights:
            try:
                found.update(load_file(str(path)))
            except (SafetensorError, OSError) as error:
                raise UserError(f"{path} is damaged ({error}); get it again") from error
        return found


def open_folder(path: Path | str, weights: bool = True) -> Folder:
    """Read everything but the weights.

    Args:
        path: the folder.
        weights: whether there must be any.

    Raises:
        UserError: no such folder, a file is missing or broken, or the weights are not safetensors.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; a pretrained model is a folder with {CONFIG} and {WEIGHTS}")
    config = _read(path / CONFIG)
    preprocessor = _read(path / PREPROCESSOR) if (path / PREPROCESSOR).exists() else {}
    fields.CONFIG.check(config, str(path / CONFIG))
    fields.PREPROCESSOR.check(preprocessor, str(path / PREPROCESSOR))
    card = load_config(Card, path / CARD) if (path / CARD).exists() else Card()
    found = _weights(path) if weights else ()
    fields.check_network(config, found, path / CONFIG)
    return Folder(path, config, preprocessor, card, found)


def _read(path: Path) -> dict[str, Any]:
    values = read_json(path, MADE_BY)
    if not isinstance(values, dict):
        raise UserError(f"{path} is not a JSON object; get it again")
    return values


def _weights(path: Path) -> tuple[Path, ...]:
    if (path / WEIGHTS).is_file():
        return (path / WEIGHTS,)
    if (path / INDEX).is_file():
        files = _read(path / INDEX).get("weight_map")
        if not isinstance(files, dict) or not all(isinstance(f, str) and Path(f).name == f for f in files.values()):
            raise UserError(f"{path / INDEX} is damaged: no weight_map with the names of files beside it")
        parts = tuple(path / name for name in sorted(set(files.values())))
        for part in parts:
            if part.suffix != ".safetensors" or not part.is_file():
                raise UserError(f"{part}, a part of {path / INDEX}, is missing; {MADE_BY}")
        return parts
    pickled = sorted(other.name for other in path.glob("*.bin")) + sorted(other.name for other in path.glob("*.pt"))
    if pickled:
        raise UserError(
            f"{path} has its weights as {pickled[0]} only, a format that runs code when it is loaded; "
            f"convert it once: convert_checkpoint.py {path / pickled[0]} {path / WEIGHTS}"
        )
    raise UserError(f"{path} has no {WEIGHTS}; {MADE_BY}")


def without_prefix(tensors: dict[str, Tensor], prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors below the first of some prefixes that any name has, the prefix taken off."""
    for prefix in prefixes:
        found = {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        if found:
            return found
    return {}
