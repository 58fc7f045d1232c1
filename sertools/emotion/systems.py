"""The kinds of emotion systems there are: a configuration's ``system:`` says which it is of.

A new kind is a module with an :class:`sertools.emotion.experiment.EmotionSystem`, and a line in
:data:`SYSTEMS`; training, prediction tables and scoring are those of all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sertools.config import from_dict, read_values
from sertools.emotion.experiment import EmotionSystem
from sertools.errors import UserError

DEFAULT = "tdnn"


@dataclass(frozen=True)
class Given:
    """Results of other stages that a system may start from; None for what is not there.

    Attributes:
        pretrained: checkpoint of an acoustic model (TDNN-F).
        recogniser: checkpoint of an acoustic-to-word recogniser.
        transcripts: table of recognised words (transcripts.csv).
    """

    pretrained: Path | None = None
    recogniser: Path | None = None
    transcripts: Path | None = None


@dataclass(frozen=True)
class _Kind:
    """How a system is made of settings (with where they are from), and which parts of Given it can use."""

    make: Callable[[dict[str, Any], str, Given], EmotionSystem]
    uses: tuple[str, ...]


def load_system(
    path: Path | str | None = None, overrides: Sequence[str] = (), given: Given | None = None
) -> EmotionSystem:
    """Read the configuration of a system, of whatever kind it is.

    Args:
        path, overrides: see :func:`sertools.config.load_config`; without a key ``system`` it is ``tdnn``.
        given: results of other stages.

    Raises:
        UserError: no such kind; see :func:`sertools.config.load_config`; something is given that this
            kind cannot use, or not given although this configuration needs it.
    """
    given = given or Given()
    values, where = read_values(path, overrides)
    name = values.get("system", DEFAULT)
    if name not in SYSTEMS:
        raise UserError(f"{where}: system must be one of {', '.join(SYSTEMS)}, not '{name}'")
    kind = SYSTEMS[name]
    for field in fields(given):
        if getattr(given, field.name) is not None and field.name not in kind.uses:
            raise UserError(f"{where} is a system of the kind {name}, which takes no --{field.name}")
    return kind.make(values, where, given)


def _tdnn(values: dict[str, Any], where: str, given: Given) -> EmotionSystem:
    from sertools.emotion.pretrained import load_pretrained
    from sertools.emotion.tdnn.config import EmotionConfig
    from sertools.emotion.tdnn.system import TdnnSystem

    # runs that were made when this was the only kind have no such key in their stamps
    config = from_dict(EmotionConfig, {key: value for key, value in values.items() if key != "system"}, where)
    return TdnnSystem(config, load_pretrained(given.pretrained) if given.pretrained else None)


def _s4(values: dict[str, Any], where: str, given: Given) -> EmotionSystem:
    from sertools.emotion.joint_asr.config import S4Config
    from sertools.emotion.joint_asr.system import make_system

    return make_system(from_dict(S4Config, values, where), given.recogniser, given.transcripts)


SYSTEMS = {"tdnn": _Kind(_tdnn, ("pretrained",)), "s4": _Kind(_s4, ("recogniser", "transcripts"))}
"""Name to kind."""
