"""The features that a run was trained on, of other recordings: computed, and kept, as its recipe did."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lhotse import CutSet
from lhotse.cut import Cut

from sertools.config import from_dict
from sertools.errors import UserError
from sertools.features.band_pass import BandPassConfig, band_pass
from sertools.features.kind import FeatureKind, Given
from sertools.features.kinds import KINDS
from sertools.features.learned.text import RECOGNISED, Words, spoken_words
from sertools.features.maker import Archive, Maker
from sertools.features.origin import PLACE_ONLY
from sertools.features.store import StoreConfig, suffix, writer

DEFAULT_RATE = 16000
HERE = {"engine": "auto", "device": "cpu"}
"""Settings that change no value, as they are for new audio."""


@dataclass(frozen=True)
class Level:
    """One kind of features of a run.

    Attributes:
        kind: which.
        settings: recorded with the run.
        store: how they were kept, as recorded.
        band: of the audio, that was kept before.
    """

    kind: FeatureKind
    settings: dict[str, Any]
    store: StoreConfig
    band: BandPassConfig | None

    @staticmethod
    def of(made: Any) -> "list[Level]":
        """Of what :func:`sertools.provenance.made_with` says of a run's cuts: those that read audio first."""
        found: dict[str, Level] = {}
        while isinstance(made, dict):
            for name, settings in made.items():
                if isinstance(settings, dict) and name in KINDS and name not in found:
                    kind, band = KINDS[name], (made.get("perturb") or {}).get("band_pass")
                    store = from_dict(StoreConfig, made["store"], name) if "store" in made else kind.store
                    kept = None if band is None else from_dict(BandPassConfig, band, f"{name}: band_pass")
                    found[name] = Level(kind, settings, store, kept)
            made = made.get("features")
        levels = list(found.values())
        levels.reverse()  # as they were made
        levels.sort(key=lambda level: level.kind.reads != "audio")
        return levels


class FeatureChain:
    """What computes a run's features of new cuts.

    Args:
        made: what :func:`sertools.provenance.made_with` said of the run's cuts.
        given: what they are computed from besides audio, by name, or by KIND.NAME where two kinds need another.
        device: of networks.
        where: the run, for messages.
        words: of a cut, for features of recognised words; None where there is no recogniser.

    Attributes:
        sampling_rate: to which audio is brought, in Hz.

    Raises:
        UserError: something is needed that is not given, or is not what the run was trained with.
    """

    def __init__(
        self, made: Any, given: Mapping[str, Path], device: str, where: str,
        words: Callable[[Cut], list[str]] | None = None,
    ) -> None:  # fmt: skip
        self._levels = Level.of(made)
        self._makers = [_maker(level, given, device, where, words) for level in self._levels]
        rates = [maker.sampling_rate for maker in self._makers if maker.sampling_rate is not None]
        self.sampling_rate = rates[0] if rates else DEFAULT_RATE

    @property
    def makers(self) -> tuple[Maker, ...]:
        """What computes each kind, in order; empty where audio is changed before."""
        return () if any(level.band is not None for level in self._levels) else tuple(self._makers)

    def __bool__(self) -> bool:
        return bool(self._levels)

    @property
    def needs(self) -> list[str]:
        """Names of what can be given."""
        return [name for level in self._levels for need in level.kind.needs
                for name in (need.name, f"{level.kind.name}.{need.name}")]  # fmt: skip

    def __call__(self, cuts: Sequence[Cut], folder: Path) -> list[Cut]:
        """The cuts with all features.

        Args:
            cuts: of recordings; each with a supervision.
            folder: for archives, which the cuts refer to.

        Raises:
            UserError: they cannot be computed of a cut.
        """
        found, made = list(cuts), dict[str, Any]()
        for level, maker in zip(self._levels, self._makers, strict=True):
            maker.check(found, made, "the recording")
            if level.band is not None:
                found = list(band_pass(CutSet.from_cuts(found), level.band))
            path = folder / f"{level.kind.name}{suffix(maker)}"
            with writer(path, maker, level.store) as opened:
                found = maker.make(found, Archive(opened, path))
            made |= {level.kind.name: level.settings}
        return found


def _maker(
    level: Level, given: Mapping[str, Path], device: str, where: str, words: Callable[[Cut], list[str]] | None
) -> Maker:
    kind = level.kind
    known = {one.name for one in fields(kind.config)}
    settings = {key: value for key, value in level.settings.items() if key in known}
    settings |= {key: value for key, value in HERE.items() if key in known}
    origin = level.settings.get("backbone") or {}
    if origin.get("supervision") == "random":
        raise UserError(f"{where} reads {kind.name} of a model with random weights, a control, which is not applied")
    config: Any = from_dict(kind.config, settings, f"{where}: features")
    own = {need.name: given.get(f"{kind.name}.{need.name}", given.get(need.name)) for need in kind.needs}
    if kind.name == RECOGNISED:
        if words is None:
            raise UserError(f"{where} reads recognised words: give a recogniser (--recogniser DIR)")
        own["transcripts"] = Path()
    for need in kind.needs:
        path = own[need.name]
        if path is None:
            called = f" {origin['name']}" if origin.get("name") else ""
            raise UserError(
                f"{where} reads {kind.name} features, for which {need.what}{called} is needed: give "
                f"--input {need.name}=PATH; it is made by {need.made_by}"
            )
        if not path.exists():
            raise UserError(f"--input {need.name}={path} does not exist; {need.what} is made by {need.made_by}")
    paths = {name: path for name, path in own.items() if path is not None}
    if kind.name == RECOGNISED:
        maker: Maker = Words(RECOGNISED, config, Given(paths, device), words or spoken_words)
    else:
        maker = kind.maker(config, Given(paths, device))
    maker.announces = False
    _check_same(maker, level, where)
    return maker


def _check_same(maker: Maker, level: Level, where: str) -> None:
    """Raise UserError if a maker would compute something else than a run was trained on."""
    found = json.loads(json.dumps(maker.record[level.kind.name]))
    wanted = json.loads(json.dumps(level.settings))
    for key in sorted((found.keys() | wanted.keys()) - {*PLACE_ONLY, "backbone"}):
        if found.get(key) == wanted.get(key):
            continue
        if key == "model":
            raise UserError(
                f"{where} was trained on {level.kind.name} features of another model ({str(wanted.get(key))[:12]}) "
                f"than the one given ({str(found.get(key))[:12]}); give that one (--input)"
            )
        raise UserError(
            f"{where} was trained on {level.kind.name} features with {key} {wanted.get(key)}, and here it would be "
            f"{found.get(key)}"
        )
