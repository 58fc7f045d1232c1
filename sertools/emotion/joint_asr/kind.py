"""The systems of S4 as a kind: what they need, and how they are made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sertools.a2w.training import VOCABULARY
from sertools.config import from_dict
from sertools.emotion.inputs import Need
from sertools.emotion.joint_asr.config import S4Config
from sertools.emotion.joint_asr.system import S4System, make_system
from sertools.emotion.kinds import Kind
from sertools.features.origin import check_origin
from sertools.files import content_hash, read_json
from sertools.lang.vocabulary import load_vocabulary
from sertools.training.checkpoint import INFO, WEIGHTS

MAKES_RECOGNISER = "the recogniser's training (egs/tedlium2/run.sh, stage 10)"
MAKES_TRANSCRIPTS = "the stage that recognises the corpus (local/decode_a2w.py)"


def _read(values: dict[str, Any], where: str) -> S4Config:
    return from_dict(S4Config, values, where)


def _needs(config: S4Config) -> tuple[Need, ...]:
    recogniser, table = config.uses_recogniser, config.uses_transcripts
    return (
        Need(
            "recogniser", "the checkpoint of an acoustic-to-word recogniser", MAKES_RECOGNISER, required=recogniser,
            used=recogniser, kept=config.reads_states, hashes=_hashes,
            check=_check if config.reads_states else None,
        ),
        Need(
            "transcripts", "the table of recognised words (words.train, words.test)", MAKES_TRANSCRIPTS, of="file",
            required=table, used=table,
        ),
    )  # fmt: skip


def _hashes(recogniser: Path) -> dict[str, str]:
    vocabulary = load_vocabulary(recogniser / VOCABULARY)
    return {"recogniser": content_hash(recogniser / WEIGHTS), "vocabulary": vocabulary.sha256}


def _check(recogniser: Path, features: Any, where: str) -> None:
    check_origin(read_json(recogniser / INFO, MAKES_RECOGNISER).get("features"), features, where, str(recogniser))


def _make(config: S4Config, given: Mapping[str, Path]) -> S4System:
    return make_system(config, given.get("recogniser"), given.get("transcripts"))


def _load(runs: dict[str, Path], *, calibrated: bool, device: str, given: Mapping[str, Path] | None = None) -> Any:
    from sertools.emotion.joint_asr.applied import load  # not needed to train
    from sertools.prediction.runs import takes_nothing

    takes_nothing(given, runs)
    return load(runs, calibrated=calibrated, device=device)


KIND = Kind("s4", _read, _make, _needs, _load)
