"""Bottleneck features: activations of named layers of a trained acoustic model, as tracks on cuts."""

import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lhotse.array import Array, TemporalArray
from lhotse.cut import Cut
from torch import Tensor

from sertools.asr.apply import load_acoustic_model
from sertools.asr.data import Batch, Batches, Reader
from sertools.asr.entries import IVECTOR, Entry, entry_of
from sertools.config import to_dict
from sertools.errors import UserError
from sertools.features.records import check_archive
from sertools.features.store import Archive, Block, StoreConfig, extract, make_blocks, write_manifest
from sertools.files import content_hash, require
from sertools.manifests import load_cuts
from sertools.models.tdnnf import TdnnfConfig
from sertools.provenance import Stamp, made_with, stage_settings
from sertools.training.ahead import Ahead
from sertools.training.checkpoint import WEIGHTS

log = logging.getLogger(__name__)

MAX_PADDING = 0.1  # of a batch
PLACE_ONLY = ("engine", "device")  # settings of MFCC that change no value


@dataclass(frozen=True)
class BottleneckConfig:
    """``conf/bottleneck.yaml``.

    Attributes:
        layers: names, see :class:`sertools.models.tdnnf.TdnnfConfig`; each becomes a track.
        batch_frames: utterances are computed together up to so many input frames; it changes no value.
        store: how they are kept.
    """

    layers: tuple[str, ...] = ("tdnnf12", "tdnnf13", "prefinal")
    batch_frames: int = 3000
    store: StoreConfig = field(default_factory=StoreConfig)

    def __post_init__(self) -> None:
        if not self.layers or len(set(self.layers)) < len(self.layers):
            raise ValueError(f"layers must name one layer or more, each once, not {list(self.layers)}")


def track_name(layer: str) -> str:
    """The custom field of a cut that holds a layer's activations."""
    return f"bottleneck_{layer}"


class Bottlenecks:
    """A :class:`sertools.features.store.Maker`: activations of layers, whole utterances at a time.

    Row k belongs to input frame ``subsampling`` * k.  An utterance has its last i-vector, as in
    :func:`sertools.asr.apply.log_likelihoods`.  All is in float32, whatever the precision of training.

    Args:
        directory: checkpoint of the acoustic model.
        config: see :class:`BottleneckConfig`.
        device: a torch device.

    Raises:
        UserError: no acoustic model, or it has no such layer.
    """

    made_by = "the bottleneck stage (local/extract_bottlenecks.py)"

    def __init__(self, directory: Path | str, config: BottleneckConfig, device: str = "cpu") -> None:
        weights = require(Path(directory) / WEIGHTS, "the training stage (local/train_asr.py)")
        self.name = str(directory)
        self.model_hash = content_hash(weights)
        loaded = load_acoustic_model(directory, device)
        self.info = loaded.info
        self.trunk_config: TdnnfConfig = loaded.config.model.trunk
        names = self.trunk_config.layer_names
        unknown = [layer for layer in config.layers if layer not in names]
        if unknown:
            raise UserError(f"{directory} has no layer {unknown[0]}; it has {', '.join(names)} (layers, --layers)")
        self.layers = tuple(name for name in names if name in config.layers)
        self.batch_frames = config.batch_frames
        self.device = torch.device(device)
        self.trunk = loaded.model.trunk
        self.trunk.activation_dtype = torch.float32
        self.seconds = 0.0  # of speech computed

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`sertools.features.store.Maker`."""
        return {"model": self.model_hash, "trunk": to_dict(self.trunk_config), "layers": list(self.layers)}

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
        """See :class:`sertools.features.store.Maker`; reading and computing go on while it writes."""
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
                        made[index] = self._with_track(made[index], layer, own, archive)
        finally:
            computed.close()
        self.seconds += sum(cut.duration for cut in cuts)
        return made

    @torch.inference_mode()
    def _compute(self, batch: Batch) -> tuple[tuple[int, ...], list[int], dict[str, np.ndarray[Any, Any]]]:
        """Cuts of a batch, rows of each, and layer to (N, T', C)."""
        ivectors = None if batch.ivectors is None else batch.ivectors.to(self.device)
        found = self.trunk(batch.features.to(self.device), batch.lengths, self.layers, ivectors)
        rows = self.trunk.output_lengths(batch.lengths).tolist()
        return batch.indices, rows, {layer: found[layer].cpu().numpy() for layer in self.layers}

    def _with_track(self, cut: Cut, layer: str, values: np.ndarray[Any, Any], archive: Archive) -> Cut:
        if not np.isfinite(values).all():
            raise UserError(f"{cut.id}: activations of {layer} are not finite; are its features sound?")
        name = track_name(layer)
        key = archive.write(f"{cut.id}-{name}", values)
        array = Array(archive.storage_type, archive.path, key, list(values.shape))
        shift = self.trunk_config.subsampling * cut.frame_shift
        return cut.with_custom(name, TemporalArray(array, 0, shift, cut.start))

    def relocate(self, cut: dict[str, Any], archive: str) -> None:
        """See :class:`sertools.features.store.Maker`."""
        for layer in self.layers:
            cut["custom"][track_name(layer)]["array"]["storage_path"] = archive


def extract_bottlenecks(
    cuts_path: Path | str,
    model: Path | str,
    directory: Path | str,
    config: BottleneckConfig,
    *,
    job: int = 1,
    num_jobs: int = 1,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[int, int, str | None]:
    """Extract one job's share, or with one job all that is missing, and write ``directory``/cuts.jsonl.gz.

    Args:
        cuts_path: cuts with features, and with i-vectors if the network takes them.
        model: checkpoint folder of the acoustic model.
        directory: for blocks and manifest.
        config: what is extracted.
        job, num_jobs, progress: see :func:`sertools.features.store.extract`.
        device: a torch device.

    Returns:
        Blocks made, blocks kept, why the manifest was written (None: up to date, or one of several jobs).

    Raises:
        UserError: no model or no such layer; the cuts are not what the network was trained on.
    """
    maker = Bottlenecks(model, config, device)
    source = made_with(cuts_path)
    check_origin(maker.info.get("features"), source, str(cuts_path), str(model))
    blocks = _blocks(cuts_path, maker, config.store)
    started = time.monotonic()
    made, kept = extract(blocks, maker, directory, config.store, job=job, num_jobs=num_jobs, progress=progress)
    if made:
        seconds = max(time.monotonic() - started, 1e-9)
        log.info("%.0f s of speech in %.1f s: %.0f times real time (real-time factor %.4f)", maker.seconds, seconds,
                 maker.seconds / seconds, seconds / max(maker.seconds, 1e-9))  # fmt: skip
    reason = None
    if num_jobs == 1:
        stamp = Stamp(
            {"features": source, "bottleneck": maker.settings, "store": vars(config.store)},
            {"cuts": content_hash(cuts_path)},
        )
        reason = write_manifest(blocks, maker, directory, config.store, stamp)
    return made, kept, reason


def load_bottleneck(cut: Cut, layer: str) -> Tensor:
    """Activations of a layer, float32 (T', C); of a part of an utterance, the rows that begin in it.

    A last row of fewer frames is there too, which lhotse's ``cut.load_bottleneck_...()`` may round away.

    Raises:
        UserError: the cut has no such track.
    """
    track = (cut.custom or {}).get(track_name(layer))
    if not isinstance(track, TemporalArray):
        others = sorted(name for name, value in (cut.custom or {}).items() if name.startswith(track_name("")))
        raise UserError(
            f"{cut.id} has no {track_name(layer)} (it has {', '.join(others) or 'no bottleneck features'}); "
            f"it is made by {Bottlenecks.made_by}"
        )
    check_archive(track.array.storage_path)
    rows = math.ceil(round(cut.duration / track.frame_shift, 6))
    values = track.load(start=cut.start, duration=rows * track.frame_shift)
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def check_origin(trained: Any, found: Any, where: str, model: str) -> None:
    """Whether cuts have the features that a network was trained on; a warning where that is not recorded.

    ``trained`` and ``found`` are what made the training cuts and these (:func:`sertools.provenance.made_with`).

    Raises:
        UserError: MFCC of other settings, or i-vectors of another model.
    """
    wanted, own = stage_settings(trained, "mfcc"), stage_settings(found, "mfcc")
    if wanted is None or own is None:
        log.warning("the MFCC settings of %s are not recorded, so whether %s has those that %s was trained on is "
                    "not checked", model if wanted is None else where, where, model)  # fmt: skip
    else:
        for key in sorted((wanted.keys() | own.keys()) - set(PLACE_ONLY)):
            if wanted.get(key) != own.get(key):
                raise UserError(
                    f"{where} has MFCC with {key} {own.get(key)}, but {model} was trained on {key} {wanted.get(key)}; "
                    "make the features with the configuration of its recipe"
                )
    wanted, own = stage_settings(trained, "ivector"), stage_settings(found, "ivector")
    if wanted is not None and own is not None and wanted["model"] != own["model"]:
        raise UserError(
            f"{where} has i-vectors of another i-vector model ({own['model'][:12]}) than {model} was trained on "
            f"({wanted['model'][:12]}); extract them with that one"
        )


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


def _blocks(cuts_path: Path | str, maker: Bottlenecks, config: StoreConfig) -> list[Block]:
    cuts = load_cuts(cuts_path)
    for cut in cuts:
        maker.entry(cut, str(cuts_path))
    if len(cuts) == 0:
        raise UserError(f"{cuts_path} is empty")
    return make_blocks(cuts, config.block_minutes)
