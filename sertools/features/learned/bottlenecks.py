"""Bottleneck features: activations of named layers of a trained acoustic model, as tracks on cuts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lhotse.cut import Cut

from sertools.config import to_dict
from sertools.data.entries import IVECTOR, Entry, entry_of
from sertools.data.reader import Reader
from sertools.data.transcribed import Batch, Batches
from sertools.errors import UserError
from sertools.features.kind import FeatureKind, Given, Need
from sertools.features.maker import Archive, Maker
from sertools.features.origin import check_origin
from sertools.files import content_hash, require
from sertools.models.tdnnf import TdnnfConfig
from sertools.training.ahead import Ahead
from sertools.training.checkpoint import WEIGHTS

MAX_PADDING = 0.1  # of a batch
TRAINED_BY = "the training stage (local/train_asr.py)"


@dataclass(frozen=True)
class BottleneckConfig:
    """The block ``bottleneck:`` of ``conf/bottleneck.yaml``.

    Attributes:
        layers: names, see :class:`sertools.models.tdnnf.TdnnfConfig`; each becomes a track.
        batch_frames: utterances are computed together up to so many input frames; it changes no value.
    """

    layers: tuple[str, ...] = ("tdnnf12", "tdnnf13", "prefinal")
    batch_frames: int = 3000

    def __post_init__(self) -> None:
        if not self.layers or len(set(self.layers)) < len(self.layers):
            raise ValueError(f"layers must name one layer or more, each once, not {list(self.layers)}")


def track_name(layer: str) -> str:
    """The custom field of a cut that holds a layer's activations."""
    return f"bottleneck_{layer}"


class Bottlenecks(Maker):
    """Activations of layers, whole utterances at a time.

    Row k belongs to input frame ``subsampling`` * k.  An utterance has its last i-vector, as in
    :func:`sertools.asr.apply.log_likelihoods`.  All is in float32, whatever the precision of training.

    Args:
        directory: checkpoint of the acoustic model.
        config: see :class:`BottleneckConfig`.
        device: a torch device.

    Raises:
        UserError: no acoustic model, or it has no such layer.
    """

    made_by = "the bottleneck stage"

    def __init__(self, directory: Path | str, config: BottleneckConfig, device: str = "cpu") -> None:
        from sertools.asr.apply import load_acoustic_model  # half a second that no other kind needs

        weights = require(Path(directory) / WEIGHTS, TRAINED_BY)
        self.name = str(directory)
        self.model_hash = content_hash(weights)
        loaded = load_acoustic_model(directory, device)
        self.info = loaded.info
        self.trunk_config: TdnnfConfig = loaded.config.model.trunk
        names = self.trunk_config.layer_names
        unknown = [layer for layer in config.layers if layer not in names]
        if unknown:
            raise UserError(f"{directory} has no layer {unknown[0]}; it has {', '.join(names)} (layers)")
        self.layers = tuple(name for name in names if name in config.layers)
        self.batch_frames = config.batch_frames
        self.device = torch.device(device)
        self.trunk = loaded.model.trunk
        self.trunk.activation_dtype = torch.float32
        self.names = tuple(map(track_name, self.layers))

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`sertools.features.maker.Maker`."""
        return {"model": self.model_hash, "trunk": to_dict(self.trunk_config), "layers": list(self.layers)}

    @property
    def record(self) -> dict[str, Any]:
        """See :class:`sertools.features.maker.Maker`."""
        return {BOTTLENECK.name: self.settings}

    def check(self, cuts: Sequence[Cut], made: Any, where: str) -> None:
        """Whether the cuts have what the network takes, made as it was for its training."""
        check_origin(self.info.get("features"), made, where, self.name)
        for cut in cuts:
            self.entry(cut, where)

    def size(self, cut: Cut) -> int:
        """See :class:`sertools.features.maker.Maker`."""
        config = self.trunk_config
        width = sum(config.prefinal_dim if layer == "prefinal" else config.hidden_dim for layer in self.layers)
        return -(-cut.num_frames // config.subsampling) * width

    def inputs(self, cut: Cut) -> Any:
        """Size and time of change of the archives with the cut's features and i-vectors."""
        paths = [str(cut.features.storage_path)]
        if self.trunk_config.ivector_dim:
            paths.append(str(cut.custom[IVECTOR].array.storage_path))
        try:
            states = [os.stat(path) for path in paths]
        except OSError as error:
            raise UserError(
                f"{error.filename} with the features or i-vectors of {cut.id} is gone; run the stage that made it again"
            ) from None
        return [[state.st_size, state.st_mtime_ns] for state in states]

    def entry(self, cut: Cut, where: str) -> Entry:
        """Where the network's input for a cut is.

        Raises:
            UserError: it is missing, or is not what the network takes.
        """
        config = self.trunk_config
        entry = entry_of(cut, config.ivector_dim > 0, where, transcript=False)
        dims = [("features", config.feature_dim, cut.features.num_features)]
        if config.ivector_dim:
            dims.append(("i-vectors", config.ivector_dim, cut.custom[IVECTOR].shape[1]))
        for what, taken, found in dims:
            if taken != found:
                raise UserError(
                    f"{where}: {cut.id} has {what} of dimension {found}, the network in {self.name} takes {taken}"
                )
        return entry

    def make(self, cuts: Sequence[Cut], archive: Archive) -> list[Cut]:
        """See :class:`sertools.features.maker.Maker`; reading and computing go on while it writes."""
        entries = [self.entry(cut, "the cuts") for cut in cuts]
        plan = plan_padded([entry.frames for entry in entries], self.batch_frames)
        batches = Batches(Reader(entries, memory_gb=0.0), plan, lambda text: None)
        made = list(cuts)
        computed = Ahead(batches.load(0, 0, False), self._compute, depth=2)
        try:
            for indices, rows, activations in computed:
                for layer, values in activations.items():
                    for number, index in enumerate(indices):
                        # lilcom overwrites what it is given, so it gets a copy
                        own = np.array(values[number, : rows[number]], dtype=np.float32, order="C")
                        shift = self.trunk_config.subsampling * made[index].frame_shift
                        made[index] = archive.with_array(made[index], track_name(layer), own, shift)
        finally:
            computed.close()
        return made

    @torch.inference_mode()
    def _compute(self, batch: Batch) -> tuple[tuple[int, ...], list[int], dict[str, np.ndarray[Any, Any]]]:
        """Cuts of a batch, rows of each, and layer to (N, T', C)."""
        ivectors = None if batch.ivectors is None else batch.ivectors.to(self.device)
        found = self.trunk(batch.features.to(self.device), batch.lengths, self.layers, ivectors)
        rows = self.trunk.output_lengths(batch.lengths).tolist()
        return batch.indices, rows, {layer: found[layer].cpu().numpy() for layer in self.layers}


def _maker(config: BottleneckConfig, given: Given) -> Bottlenecks:
    return Bottlenecks(given.inputs["pretrained"], config, given.device)


BOTTLENECK = FeatureKind(
    "bottleneck", BottleneckConfig, _maker, reads="features", uses_device=True,
    needs=(Need("pretrained", "the checkpoint of an acoustic model", TRAINED_BY),),
)  # fmt: skip


def plan_padded(frames: Sequence[int], batch_frames: int) -> list[list[int]]:
    """Indices into ``frames``, by length, in batches of at most ``batch_frames`` (or one utterance).

    That counts padding, of which there is at most :data:`MAX_PADDING`.
    """
    batches: list[list[int]] = []
    inside = 0
    for index in sorted(range(len(frames)), key=lambda i: frames[i]):
        size = frames[index] * (len(batches[-1]) + 1) if batches else 0
        if not batches or size > batch_frames or inside + frames[index] < (1 - MAX_PADDING) * size:
            batches.append([])
            inside = 0
        batches[-1].append(index)
        inside += frames[index]
    return batches
