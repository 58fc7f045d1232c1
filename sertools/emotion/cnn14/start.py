"""The weights that a Cnn14 starts from: random, another run's, or PANNs'."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sertools.emotion.cnn14.config import Cnn14SystemConfig
from sertools.errors import UserError
from sertools.features.origin import check_origin
from sertools.files import read_json
from sertools.foreign.panns import load_panns
from sertools.models.cnn14 import Cnn14
from sertools.partitions.target import Target
from sertools.training.checkpoint import INFO, load_checkpoint, load_weights

MADE_BY = "the training of the source (local/train_emotion.py)"
HEAD = "head."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """Weights to start from.

    Attributes:
        weights: all but those of the head, by name.
        left_out: names of the tensors that were there besides.
        where: they are from, for messages.
    """

    weights: dict[str, Tensor]
    left_out: tuple[str, ...]
    where: str

    @property
    def sentence(self) -> str:
        """What was taken and left out, for the log."""
        return f"start: {len(self.weights)} tensors of {self.where}; left out: {', '.join(self.left_out)}"


def load_start(config: Cnn14SystemConfig, given: Mapping[str, Path]) -> Start | None:
    """The start of a configuration; None for a random one.

    Raises:
        UserError: a file is something else, or of another layout.
    """
    if config.transfer.start == "random":
        return None
    if config.transfer.start == "audioset":
        found = load_panns(given["audioset"])
        with torch.random.fork_rng(devices=[]):
            found.load_into(Cnn14(config.model, 1))  # says how the layouts differ
        return Start(found.tensors, found.left_out, str(given["audioset"]))
    return load_source(given["source"])


def load_source(path: Path) -> Start:
    """All but the head of a run of this kind.

    Raises:
        UserError: it is something else.
    """
    checkpoint = load_checkpoint(path, MADE_BY)
    kind = checkpoint.config.get("system", "tdnn")
    if kind != "cnn14":
        raise UserError(f"{path} is a system of the kind {kind}, and the source must be of the kind cnn14")
    weights = {name: value for name, value in checkpoint.weights.items() if not name.startswith(HEAD)}
    return Start(weights, tuple(name for name in checkpoint.weights if name.startswith(HEAD)), str(path))


def check_source(path: Path, features: Any, where: str) -> None:
    """Raise UserError if a source was trained on other log-mel spectra; a band of the audio is not looked at (S5)."""
    check_origin(read_json(path / INFO, MADE_BY).get("features"), features, where, str(path))


def make_network(config: Cnn14SystemConfig, target: Target, start: Start | None) -> Cnn14:
    """The network before its first step; what is random is drawn from torch's generator.

    Raises:
        UserError: the start does not fit the layout.
    """
    network = Cnn14(config.model, target.num_outputs)
    if start is not None:
        head = {name: value for name, value in network.state_dict().items() if name.startswith(HEAD)}
        load_weights(network, {**start.weights, **head}, start.where)
        log.info("%s", start.sentence)
    if config.transfer.train == "linear":
        network.freeze(evaluation=config.transfer.frozen == "evaluation")
    return network
