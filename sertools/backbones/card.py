"""What is known of a pretrained model, as every table that rests on it says it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from sertools.files import json_hash

Supervision = Literal["self-supervised", "supervised", "random", "unknown"]
UNKNOWN: Final = "unknown"
CARD = "sertools.yaml"


@dataclass(frozen=True)
class Card:
    """``sertools.yaml`` beside the weights: what a checkpoint does not say of itself.

    Attributes:
        name: as tables call it; the folder's name where it is empty.
        licence: of the weights.
        training_data: in words.
        corpora: names of all corpora it was trained on, as far as they are emotion corpora or may be
            tested on; None where that is not known.
        supervision: self-supervised (speech or text alone) or supervised (transcripts, labels).
        do_normalize: whether each utterance is brought to mean 0 and variance 1, for a folder
            without preprocessor_config.json.
        sampling_rate: in Hz, for a folder without preprocessor_config.json.
        utterances: :func:`of_utterances` of all that it was trained on of ``corpora``; empty where that is not known.
    """

    name: str = ""
    licence: str = UNKNOWN
    training_data: str = UNKNOWN
    corpora: tuple[str, ...] | None = None
    supervision: Supervision = UNKNOWN
    do_normalize: bool | None = None
    sampling_rate: int | None = None
    utterances: str = ""


@dataclass(frozen=True)
class Origin:
    """Where a pretrained model is from: what stands in stamps and tables.

    Attributes:
        name: for tables.
        family: "wav2vec2", "hubert", "wavlm", "data2vec-audio", "whisper", "wav2vec", "bert", ...
        supervision, licence, training_data, corpora: see :class:`Card`; "random" for weights that
            were never trained.
        hash: SHA-256 of configuration and weights (of configuration and seed for random weights).
        utterances: see :class:`Card`.
    """

    name: str
    family: str
    supervision: Supervision
    licence: str
    training_data: str
    corpora: tuple[str, ...] | None
    hash: str
    utterances: str = field(default="", kw_only=True)

    def seen(self, corpus: str) -> bool | None:
        """Whether it has been trained on a corpus; None where that is not known."""
        if self.supervision == "random":
            return False
        if self.corpora is None:
            return None
        return _plain(corpus) in {_plain(name) for name in self.corpora}

    def describe(self) -> str:
        """Name, kind, training data, licence and hash in a line."""
        if self.supervision == "random":
            return f"{self.name}: {self.family} with random weights, a control ({self.hash[:12]})"
        how = {"unknown": "supervision unknown"}.get(self.supervision, self.supervision)
        return (
            f"{self.name}: {self.family}, {how}; trained on: {self.training_data}; "
            f"licence: {self.licence} ({self.hash[:12]})"
        )

    def remarks(self, corpora: Iterable[str], trains: str = "") -> list[str]:
        """What every output that rests on this model must say.

        Args:
            corpora: that are tested on.
            trains: :func:`of_utterances` of the fold's train part, which the model may have seen.
        """
        said = [self.describe()]
        if self.supervision == "supervised":
            said.append(f"{self.name} was trained with transcripts or labels: it is supervised, not self-supervised.")
        for corpus in corpora:
            seen = self.seen(corpus)
            if seen and trains and trains == self.utterances:
                said.append(f"{self.name} has seen {corpus}'s train part of the fold alone, nothing that is tested.")
            elif seen:
                said.append(f"WARNING: {self.name} was trained on {corpus}, on which it is tested here.")
            elif seen is None:
                said.append(f"Whether {self.name} was trained on {corpus} is not known ({CARD}: corpora).")
        return said


@dataclass(frozen=True)
class Backbone(Origin):
    """A pretrained model.

    Attributes:
        layers: hidden states that it gives, the one before the first layer (0) with them.
        dimension: of each.
        frame_rate: rows a second; None for text.
        sampling_rate: of the audio it takes, in Hz; None for text.
    """

    layers: int
    dimension: int
    frame_rate: float | None
    sampling_rate: int | None


def of_utterances(names: Iterable[str]) -> str:
    """SHA-256 of the names of utterances, in whatever order."""
    return json_hash(sorted(names))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
