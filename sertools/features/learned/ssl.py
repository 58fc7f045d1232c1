"""Hidden states of a pretrained speech model (wav2vec 2.0, HuBERT, WavLM, Whisper, ...) as features.

Kept are either the mean and standard deviation over time of each layer, one exact row an utterance, or the
layers frame by frame in float16: for wav2vec 2.0 base that is 64 MB (of utterances of 4.5 s) or
3.6 GB an hour of speech with all of them.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from lhotse.cut import Cut

from sertools.backbones.card import Origin
from sertools.backbones.encoder import SpeechEncoder, chosen, hidden_states, statistics
from sertools.backbones.folder import open_folder
from sertools.backbones.load import load_speech
from sertools.errors import UserError
from sertools.features.audio import audio_state, load_samples
from sertools.features.blocks import make_blocks
from sertools.features.kind import FeatureKind, Given, Need
from sertools.features.maker import Archive, Maker
from sertools.features.origin import kinds_of

log = logging.getLogger(__name__)

NAME = "ssl"
PROBE_SECONDS = 4.0
NEED = Need("backbone", "a folder with a pretrained model", "whoever published it (docs/backbones.md)")


@dataclass(frozen=True)
class SslConfig:
    """The block ``ssl:``.

    Attributes:
        layers: numbers, from 0, what the first layer reads; or all.
        statistics: mean and standard deviation over time (L, 1, 2 C), exact; or the frames (L, T, C), float16.
        padding: for Whisper: to 30 s, as it was trained; without, it is several times as fast and not quite the same.
        random_seed: of random weights instead of the trained ones, as a control; null for the trained ones.
        batch_seconds: of audio, computed together where that changes nothing; it changes no value.
    """

    layers: Literal["all"] | tuple[int, ...] = "all"
    statistics: bool = True
    padding: bool = True
    random_seed: int | None = None
    batch_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not self.layers or (self.layers != "all" and len(set(self.layers)) < len(self.layers)):
            raise ValueError(f"layers must be all, or name one layer or more, each once, not {self.layers}")
        if self.batch_seconds <= 0:
            raise ValueError("batch_seconds must be positive")


class HiddenStates(Maker):
    """Hidden states of cuts, see :class:`SslConfig`; audio of another rate is resampled.

    Raises:
        UserError: the folder is not whole.
    """

    names = (NAME,)

    def __init__(self, config: SslConfig, given: Given) -> None:
        self.config = config
        self.path = given.inputs["backbone"]
        self.device = given.device
        folder = open_folder(self.path, weights=config.random_seed is None)
        self.family = folder.family
        self.origin = folder.origin(config.random_seed)
        self.storage = "float32" if config.statistics else "float16"
        self._encoder: SpeechEncoder | None = None
        self._hours = 0.0
        self._told = False

    @property
    def encoder(self) -> SpeechEncoder:
        """The model, loaded when it is first needed."""
        if self._encoder is None:
            highest = None if self.config.layers == "all" else max(self.config.layers)
            options: dict[str, Any] = {"padding": self.config.padding, "random_seed": self.config.random_seed}
            self._encoder = load_speech(self.path, highest=highest, device=self.device, **options)
            log.info("%s", self._encoder.backbone.describe())
        return self._encoder

    @property
    def layers(self) -> list[int]:
        """Numbers of the layers that are kept."""
        return chosen(self.encoder.backbone, None if self.config.layers == "all" else self.config.layers)

    @property
    def sampling_rate(self) -> int | None:
        """See :class:`sertools.features.maker.Maker`."""
        return self.encoder.backbone.sampling_rate

    @property
    def settings(self) -> dict[str, Any]:
        """See :class:`sertools.features.maker.Maker`."""
        layers = self.config.layers if self.config.layers == "all" else list(self.config.layers)
        settings = {"model": self.origin.hash, "layers": layers, "statistics": self.config.statistics}
        if self.family == "whisper":
            settings["padding"] = self.config.padding
        return {NAME: settings}

    @property
    def record(self) -> dict[str, Any]:
        """See :class:`sertools.features.maker.Maker`; with where the model is from, for tables."""
        return {NAME: self.settings[NAME] | {"backbone": asdict(self.origin)}}

    def check(self, cuts: Sequence[Cut], made: Any, where: str) -> None:
        """See :class:`sertools.features.maker.Maker`."""
        self._hours = sum(cut.duration for cut in cuts) / 3600

    def inputs(self, cut: Cut) -> Any:
        """Size and time of change of a cut's audio files."""
        return audio_state(cut)

    def size(self, cut: Cut) -> int:
        """See :class:`sertools.features.maker.Maker`."""
        backbone = self.encoder.backbone
        assert backbone.frame_rate is not None
        rows = 2.0 if self.config.statistics else cut.duration * backbone.frame_rate
        return round(len(self.layers) * rows * backbone.dimension)

    def make(self, cuts: Sequence[Cut], archive: Archive) -> list[Cut]:
        """See :class:`sertools.features.maker.Maker`.

        Raises:
            UserError: an utterance is too short for the model, or its audio cannot be read.
        """
        encoder, backbone = self.encoder, self.encoder.backbone
        assert backbone.sampling_rate is not None
        assert backbone.frame_rate is not None
        self._tell(encoder, cuts)
        shift = None if self.config.statistics else 1 / backbone.frame_rate
        reduce = (lambda one: statistics(one)[:, None]) if self.config.statistics else None
        made: list[Cut] = []
        for part in make_blocks(cuts, 10 * self.config.batch_seconds / 60):  # so many hidden states are in memory
            waveforms = [torch.from_numpy(load_samples(cut, backbone.sampling_rate)[0]) for cut in part.cuts]
            names = [cut.id for cut in part.cuts]
            states = hidden_states(encoder, waveforms, self.layers, self.config.batch_seconds, reduce, names)
            made += [
                archive.with_array(cut, NAME, one.numpy(), shift) for cut, one in zip(part.cuts, states, strict=True)
            ]
        return made

    def _tell(self, encoder: SpeechEncoder, cuts: Sequence[Cut]) -> None:
        """Once: how long it takes, by a probe; what is resampled; what is cut."""
        if self._told or not self.announces:
            return
        self._told = True
        rate = encoder.backbone.sampling_rate
        assert rate is not None
        probe = torch.randn(round(PROBE_SECONDS * rate), generator=torch.Generator().manual_seed(0)) * 0.05
        hidden_states(encoder, [probe[: rate // 2]], self.layers)  # what is done once is not counted
        started = time.monotonic()
        hidden_states(encoder, [probe], self.layers)
        speed = PROBE_SECONDS / max(time.monotonic() - started, 1e-6)
        log.info("%.2f h of audio in all jobs, about %.0f times as fast as it is spoken: some %.0f minutes for one "
                 "job", self._hours, speed, 60 * self._hours / speed)  # fmt: skip
        others = sorted({cut.sampling_rate for cut in cuts if cut.sampling_rate != rate})
        if others:
            log.info("audio of %s Hz is resampled to %d Hz", ", ".join(map(str, others)), rate)
        long = [cut.id for cut in cuts if encoder.most_samples and cut.duration * rate > encoder.most_samples]
        if long:
            log.info("%d utterances of the first block are longer than %s takes and are cut into equal pieces: %s",
                     len(long), encoder.backbone.name, ", ".join(long[:5]))  # fmt: skip


def origin_of(made: Any, kind: str = NAME) -> Origin | None:
    """The pretrained model that features were made by, out of what made_with gives for their cuts."""
    record = kinds_of(made).get(kind, {}).get("backbone")
    if record is None:
        return None
    corpora = record["corpora"]
    return Origin(**record | {"corpora": None if corpora is None else tuple(corpora)})


def backbone_remarks(made: Any, corpora: Sequence[str]) -> list[str]:
    """What every output that rests on pretrained models must say, where ``corpora`` are tested on.

    Args:
        made: what :func:`sertools.provenance.made_with` gives for the cuts.
        corpora: their names.
    """
    origins = [origin_of(made, kind) for kind in kinds_of(made)]
    return [sentence for origin in origins if origin is not None for sentence in origin.remarks(corpora)]


def _maker(config: SslConfig, given: Given) -> HiddenStates:
    if not given.inputs["backbone"].is_dir():
        raise UserError(f"{given.inputs['backbone']} is not a folder; --input backbone=DIR is a folder of a model")
    return HiddenStates(config, given)


SSL = FeatureKind(NAME, SslConfig, _maker, needs=(NEED,), uses_device=True)
