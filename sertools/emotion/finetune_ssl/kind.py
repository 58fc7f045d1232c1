"""Fine-tuning as a kind of systems."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sertools.backbones.card import of_utterances
from sertools.backbones.folder import open_folder
from sertools.config import from_dict
from sertools.emotion.finetune_ssl.config import FinetuneConfig
from sertools.emotion.finetune_ssl.system import FinetuneSystem
from sertools.emotion.inputs import Need
from sertools.emotion.kinds import Kind


def _read(values: dict[str, Any], where: str) -> FinetuneConfig:
    return from_dict(FinetuneConfig, values, where)


def _make(config: FinetuneConfig, given: Mapping[str, Path]) -> FinetuneSystem:
    return FinetuneSystem(config, given["backbone"])


def _hashes(path: Path) -> dict[str, str]:
    return {"backbone": open_folder(path).hash()}


def _backbone(config: FinetuneConfig) -> Need:
    random = config.tuned.start == "random"

    def remarks(path: Path, corpora: Sequence[str], train: Sequence[str]) -> list[str]:
        # the seed of random weights is the run's
        return (
            open_folder(path, weights=not random).origin(0 if random else None).remarks(corpora, of_utterances(train))
        )

    return Need(
        "backbone", "the folder of a pretrained speech model", "whoever published it (docs/backbones.md)",
        of="directory", required=True, hashes=_hashes, remarks=remarks,
    )  # fmt: skip


def _load(runs: dict[str, Path], **options: Any) -> Any:
    from sertools.emotion.finetune_ssl.export import FinetuneEnsemble
    from sertools.prediction.stored import load_stored

    make = lambda config, given: FinetuneSystem(config, given["backbone"])  # noqa: E731
    return FinetuneEnsemble(
        load_stored(runs, FinetuneConfig, make, needs=(_backbone(FinetuneConfig()),), **options), runs
    )


KIND = Kind("finetune_ssl", _read, _make, lambda config: (_backbone(config),), _load)
