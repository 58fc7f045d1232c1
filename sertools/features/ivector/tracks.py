"""I-vectors of a whole corpus, as a track on its cuts."""

import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lhotse.cut import Cut
from torch import Tensor

from sertools.config import to_dict
from sertools.errors import UserError
from sertools.features.blocks import Block, make_blocks, speaker
from sertools.features.ivector.config import IvectorConfig, SpeakersConfig
from sertools.features.ivector.extraction import ExtractionConfig, SpeakerState, extract
from sertools.features.ivector.model import MADE_BY, IvectorModel, feature_info, load_model
from sertools.features.ivector.passes import BATCH_FRAMES, make_batches, read_features
from sertools.features.kind import FeatureKind, Need
from sertools.features.maker import Archive, Maker
from sertools.features.store import StoreConfig, write_manifest
from sertools.features.store import extract as make_missing_blocks
from sertools.files import content_hash, require
from sertools.manifests import load_cuts
from sertools.provenance import Stamp, made_with
from sertools.training.checkpoint import WEIGHTS

FIELD = "ivector"


@dataclass(frozen=True)
class IvectorTracksConfig:
    """The block ``ivector:`` of a configuration of features; conf/ivector.yaml has these beside those of training.

    Attributes:
        extraction, speakers: see :class:`sertools.features.ivector.config.IvectorConfig`.
    """

    extraction: ExtractionConfig = field(default_factory=ExtractionConfig)
    speakers: SpeakersConfig = field(default_factory=SpeakersConfig)


class IvectorTracks(Maker):
    """I-vectors of cuts, speaker by speaker."""

    made_by = "the i-vector extraction stage (local/extract_ivectors.py)"
    names = (FIELD,)

    def __init__(self, directory: Path | str, config: IvectorConfig | IvectorTracksConfig, device: str = "cpu") -> None:
        require(Path(directory) / WEIGHTS, MADE_BY)
        self.model = load_model(directory)
        self.model_hash = content_hash(Path(directory) / WEIGHTS)
        self.config = config
        self.device = device

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`sertools.features.maker.Maker`."""
        options = to_dict(self.config)
        return {
            "model": self.model_hash, "extraction": options["extraction"], "speakers": options["speakers"],
            "frontend": {"context": self.model.frontend.context, "cmvn": vars(self.model.frontend.cmvn)},
            "posteriors": vars(self.model.posteriors),
        }  # fmt: skip

    @property
    def record(self) -> dict[str, Any]:
        """See :class:`sertools.features.maker.Maker`."""
        return {FIELD: self.settings}

    def check(self, cuts: Sequence[Cut], made: Any, where: str) -> None:
        """See :class:`sertools.features.maker.Maker`."""
        missing = next((cut.id for cut in cuts if not cut.has_features), None)
        if missing is not None:
            raise UserError(f"{where}: {missing} has no features; run the feature stage")

    def blocks(self, cuts: Iterable[Cut], minutes: float) -> list[Block]:
        """See :class:`sertools.features.maker.Maker`; a speaker is never in two."""
        return make_blocks(_ordered(cuts, self.config.speakers), minutes, whole_speakers=True)

    def size(self, cut: Cut) -> int:
        """See :class:`sertools.features.maker.Maker`."""
        return -(-cut.num_frames // self.config.extraction.period) * self.model.dim

    def inputs(self, cut: Cut) -> Any:
        """Size and time of change of the archive with the cut's features."""
        try:
            info = os.stat(cut.features.storage_path)
        except OSError:
            raise UserError(
                f"{cut.features.storage_path} with the features of {cut.id} is gone; run the feature stage again"
            ) from None
        return [info.st_size, info.st_mtime_ns]

    def make(self, cuts: Sequence[Cut], archive: Archive) -> list[Cut]:
        """See :class:`sertools.features.maker.Maker`."""
        expected = self.model.feature_info
        for cut in cuts:
            found = feature_info(cut)
            if found != expected:
                raise UserError(f"{cut.id} has features {found}, the i-vector model was trained on {expected}")
        return [
            archive.with_array(
                cut, FIELD, ivectors.contiguous().numpy(), self.config.extraction.period * cut.frame_shift
            )
            for group in _by_speaker(cuts, self.config.speakers.max_utterances)
            for cut, ivectors in _of_speaker(self.model, group, self.config.extraction, self.device)
        ]


IVECTORS = FeatureKind(
    FIELD, IvectorTracksConfig, lambda config, given: IvectorTracks(given.inputs["extractor"], config, given.device),
    reads="features", uses_device=True, needs=(Need("extractor", "an i-vector model", MADE_BY),),
    store=StoreConfig(tick_power=-10),  # coefficients are of the order of one
    made_by=IvectorTracks.made_by,
)  # fmt: skip


def extract_ivectors(
    cuts_path: Path | str,
    model: Path | str,
    directory: Path | str,
    config: IvectorConfig,
    *,
    job: int = 1,
    num_jobs: int = 1,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[int, int, str | None]:
    """Extract one job's share; with one job, write ``directory``/cuts.jsonl.gz too.

    After several jobs, a call with one job finds their blocks made and writes the manifest.

    Args:
        cuts_path: cuts with features.
        model: folder of the model.
        directory: for blocks and manifest.
        config: its ``extraction``, ``speakers`` and ``store``.
        job, num_jobs, progress: see :func:`sertools.features.store.extract`.
        device: a torch device.

    Returns:
        Blocks made, blocks kept, and why the manifest was written (None: it was up to date, or
        is not this job's task).

    Raises:
        UserError: no model, no features, features of another kind.
    """
    maker = IvectorTracks(model, config, device)
    cuts = load_cuts(cuts_path)
    maker.check(list(cuts), None, str(cuts_path))
    blocks = maker.blocks(cuts, config.store.block_minutes)
    made, kept = make_missing_blocks(
        blocks, maker, directory, config.store, job=job, num_jobs=num_jobs, progress=progress
    )
    reason = None
    if num_jobs == 1:
        stamp = Stamp(
            {"features": made_with(cuts_path), "store": vars(config.store)} | maker.record,
            {"cuts": content_hash(cuts_path)},
        )
        reason = write_manifest(blocks, maker, directory, config.store, stamp)
    return made, kept, reason


def _ordered(cuts: Iterable[Cut], config: SpeakersConfig) -> list[Cut]:
    """Cuts, speaker by speaker in the order of their first cuts."""
    groups: dict[str, list[Cut]] = {}
    for cut in cuts:
        groups.setdefault(speaker(cut), []).append(cut)
    if config.order == "shuffled":
        for name, group in groups.items():
            random.Random(f"{config.seed} {name}").shuffle(group)
    return [cut for group in groups.values() for cut in group]


def _by_speaker(cuts: Sequence[Cut], max_utterances: int) -> Iterator[list[Cut]]:
    """Stretches of cuts over which a speaker is remembered."""
    group: list[Cut] = []
    for cut in cuts:
        if group and (speaker(cut) != speaker(group[-1]) or len(group) == max_utterances):
            yield group
            group = []
        group.append(cut)
    if group:
        yield group


def _of_speaker(
    model: IvectorModel, cuts: Sequence[Cut], config: ExtractionConfig, device: str
) -> Iterator[tuple[Cut, Tensor]]:
    # one estimate of a whole speaker needs all of it at once
    batches = [list(cuts)] if config.mode == "speaker" else make_batches(cuts, BATCH_FRAMES)
    state: SpeakerState | None = None
    for batch in batches:
        ivectors, state = extract(model, [read_features(cut) for cut in batch], config, state, device)
        yield from zip(batch, ivectors, strict=True)
