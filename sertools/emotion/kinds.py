"""The kinds of systems there are: a configuration's ``system:`` says of which it is.

A new kind is a package with an instance of :class:`Kind` called ``KIND``, and a line in :data:`KINDS`;
training, prediction tables and scoring are those of all (docs/extending.md).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from sertools.config import ConfigFiles, read_values, to_dict
from sertools.emotion.inputs import Inputs, Need, check_given
from sertools.emotion.system import RunId, System
from sertools.errors import UserError

DEFAULT = "tdnn"

KINDS: dict[str, str] = {
    "tdnn": "sertools.emotion.tdnn.kind",
    "features_head": "sertools.emotion.features_head.kind",
    "s4": "sertools.emotion.joint_asr.kind",
    "speech_text": "sertools.emotion.speech_text.kind",
    "finetune_ssl": "sertools.emotion.finetune_ssl.kind",
    "layers_head": "sertools.emotion.layers_head.kind",
    "svm": "sertools.emotion.svm.kind",
    "progressive": "sertools.emotion.progressive.kind",
    "cnn14": "sertools.emotion.cnn14.kind",
}
"""Name to module, which is imported when a configuration asks for it."""


@dataclass(frozen=True)
class Kind:
    """A kind of systems.

    Attributes:
        name: as in :data:`KINDS`.
        read: the configuration's dataclass of plain values, and where they are from (for messages).
        make: a system of a configuration, and what it was given (name to path).
        needs: what a configuration needs besides cuts and folds.
        load: trained runs of one configuration (name to folder), ready for any audio, on a device, with or
            without calibrated probabilities, with what is given besides (name to path): a
            :class:`sertools.prediction.ensemble.Ensemble`.  None: what such a system says is in its prediction
            tables only.
    """

    name: str
    read: Callable[[dict[str, Any], str], Any]
    make: Callable[[Any, Mapping[str, Path]], System]
    needs: Callable[[Any], Sequence[Need]] = lambda config: ()
    load: Callable[..., Any] | None = None


def find_kind(name: str, where: str = "the configuration") -> Kind:
    """A kind by its name.

    Raises:
        UserError: there is none.
    """
    if name not in KINDS:
        raise UserError(f"{where}: system must be one of {', '.join(KINDS)}, not '{name}'")
    kind = import_module(KINDS[name]).KIND
    assert isinstance(kind, Kind)
    return kind


class SystemMaker:
    """Makes the system of each run of an experiment; runs that are given the same share one.

    Attributes:
        kind: of the configuration.
        config: as it was read.
    """

    def __init__(self, kind: Kind, config: Any, given: Mapping[str, Path], where: str = "the configuration") -> None:
        self.kind = kind
        self.config = config
        self._given = dict(given)
        self._needs = tuple(kind.needs(config))
        check_given(self._needs, self._given, kind.name, where)
        self._last: tuple[Mapping[str, Path], System] | None = None

    def __call__(self, run_id: RunId) -> tuple[System, Inputs]:
        """The system of a run, and what it was given.

        Raises:
            UserError: an input is not there, damaged, or does not fit the configuration.
        """
        inputs = Inputs.of(self._needs, self._given, run_id)
        if self._last is None or self._last[0] != inputs.paths:
            self._last = inputs.paths, self.kind.make(self.config, inputs.paths)
        return self._last[1], inputs


def load_system(
    path: Path | str | ConfigFiles | None = None,
    overrides: Sequence[str] = (),
    given: Mapping[str, Path] | None = None,
) -> SystemMaker:
    """Read the configuration of a system, of whatever kind it is.

    Args:
        path, overrides: see :func:`sertools.config.load_config`; without a key ``system`` it is ``tdnn``.
        given: results of other stages, by the name of the need.

    Raises:
        UserError: no such kind; see :func:`sertools.config.load_config`; something is given that this
            kind cannot use, or not given although this configuration needs it.
    """
    kind, config, where = _read(path, overrides)
    return SystemMaker(kind, config, given or {}, where)


def configured(path: Path | str | ConfigFiles | None = None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The complete configuration of a system as plain values, whatever it needs besides.

    Raises:
        UserError: no such kind; see :func:`sertools.config.load_config`.
    """
    return to_dict(_read(path, overrides)[1])


def _read(path: Path | str | ConfigFiles | None, overrides: Sequence[str]) -> tuple[Kind, Any, str]:
    """The kind, its configuration, and where that is from."""
    values, where = read_values(path, overrides)
    kind = find_kind(str(values.get("system", DEFAULT)), where)
    return kind, kind.read(values, where), where
