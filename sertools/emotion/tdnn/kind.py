"""The systems of S1 as a kind: what they need, and how they are made and applied.

Imports are where they are used: what training needs takes half a second, and prediction does without.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sertools.emotion.inputs import Need
from sertools.emotion.kinds import Kind

if TYPE_CHECKING:
    from sertools.emotion.system import System
    from sertools.emotion.tdnn.config import EmotionConfig


def _read(values: dict[str, Any], where: str) -> "EmotionConfig":
    from sertools.config import from_dict
    from sertools.emotion.tdnn.config import EmotionConfig

    # runs that were made when this was the only kind have no such key in their stamps
    return from_dict(EmotionConfig, {key: value for key, value in values.items() if key != "system"}, where)


def _needs(config: "EmotionConfig") -> tuple[Need, ...]:
    from sertools.emotion.tdnn.pretrained import MADE_BY
    from sertools.features.ivector.model import MADE_BY as MAKES_EXTRACTOR

    transferred = config.transfer.start == "pretrained"
    return (
        Need(
            "pretrained", "the checkpoint of an acoustic model", MADE_BY, required=transferred, stamped=transferred,
            kept=config.head_alone, check=_check_pretrained if transferred else None,
            about=_about if transferred else None, remarks=_remarks if transferred else None,
        ),
        # the features' own stamp says which i-vectors they have
        Need("extractor", "the i-vectors' model", MAKES_EXTRACTOR, stamped=False, kept=True),
    )  # fmt: skip


def _check_pretrained(directory: Path, features: Any, where: str) -> None:
    from sertools.emotion.tdnn.pretrained import MADE_BY
    from sertools.features.origin import check_origin
    from sertools.files import read_json
    from sertools.training.checkpoint import INFO

    check_origin(read_json(directory / INFO, MADE_BY).get("features"), features, where, str(directory))


def _about(directory: Path) -> dict[str, Any]:
    from sertools.runs.folder import SPEECH, read_info
    from sertools.training.checkpoint import INFO

    info = read_info(directory / INFO)
    return {SPEECH: info[SPEECH]} if SPEECH in info else {}


def _remarks(directory: Path, corpora: Sequence[str], train: Sequence[str]) -> list[str]:
    from sertools.emotion.transductive import HEARD_LABELS, HEARD_WORDS
    from sertools.runs.folder import SPEECH

    speech = _about(directory).get(SPEECH, {})
    labels = ", ".join(speech.get("labels", ()))
    said = HEARD_LABELS if labels else HEARD_WORDS
    return [said.format(corpus=corpus, labels=labels) for corpus in corpora if corpus in speech.get("corpora", ())]


def _make(config: "EmotionConfig", given: Mapping[str, Path]) -> "System":
    from sertools.emotion.tdnn.pretrained import load_pretrained
    from sertools.emotion.tdnn.system import make_system

    return make_system(config, load_pretrained(given["pretrained"]) if "pretrained" in given else None)


def _load(runs: dict[str, Path], *, calibrated: bool, device: str, given: Mapping[str, Path] | None = None) -> Any:
    from sertools.emotion.tdnn.recognition import load
    from sertools.prediction.runs import takes_nothing

    takes_nothing(given, runs)
    return load(runs, calibrated=calibrated, device=device)


KIND = Kind("tdnn", _read, _make, _needs, _load)
