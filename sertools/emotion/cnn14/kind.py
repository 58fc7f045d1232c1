"""S5's systems as a kind."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sertools.config import from_dict
from sertools.emotion.cnn14.config import Cnn14SystemConfig
from sertools.emotion.cnn14.start import MADE_BY, check_source, load_start
from sertools.emotion.cnn14.system import Cnn14System
from sertools.emotion.inputs import Need
from sertools.emotion.kinds import Kind
from sertools.emotion.origins import check_not_heard


def _read(values: dict[str, Any], where: str) -> Cnn14SystemConfig:
    return from_dict(Cnn14SystemConfig, values, where)


def _needs(config: Cnn14SystemConfig) -> Sequence[Need]:
    start = config.transfer.start
    if start == "source":
        what = "a run of this kind on another task (EXP/fold_FOLD/seed_SEED/checkpoint)"
        return [Need("source", what, MADE_BY, required=True, check=check_source, check_fold=check_not_heard)]
    if start == "audioset":
        what = "PANNs' file Cnn14_16k_mAP=0.438.pth"
        return [Need("audioset", what, "PANNs (Zenodo record 3987831)", of="file", required=True)]
    return []


def _make(config: Cnn14SystemConfig, given: Mapping[str, Path]) -> Cnn14System:
    return Cnn14System(config, load_start(config, given))


def _load(runs: dict[str, Path], **options: Any) -> Any:
    from sertools.emotion.cnn14.export import Cnn14Ensemble
    from sertools.prediction.stored import load_stored

    return Cnn14Ensemble(
        load_stored(runs, Cnn14SystemConfig, lambda config, given: Cnn14System(config), **options), runs
    )


KIND = Kind("cnn14", _read, _make, _needs, _load)
