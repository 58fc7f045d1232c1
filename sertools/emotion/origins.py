"""What a network that is carried over has heard: never what the run that takes it is tested on, nor chosen by."""

from collections.abc import Iterable
from pathlib import Path

from sertools.errors import UserError
from sertools.partitions.folds import Fold, Folds
from sertools.runs.folder import CHOSEN_ON, TRAINED_ON, read_info
from sertools.training.checkpoint import INFO

HOW = (
    "give the source of the same fold, trained with the folds of the same protocol (EXP/fold_FOLD/seed_SEED/checkpoint)"
)


def check_not_heard(path: Path, folds: Folds, fold: Fold) -> None:
    """Raise UserError if a checkpoint knows utterances that it must not know where it is a source of a fold's run.

    It must not have learnt from what the fold tests or chooses by, nor have been chosen by what the fold tests.
    Utterances of other corpora are others, whatever they are called.

    Args:
        path: folder of the checkpoint.
        folds: of the run.
        fold: of the run.
    """
    info = read_info(path / INFO)
    if not set(str(info.get("corpus", "")).split("+")) & set(folds.corpora):
        return
    if TRAINED_ON not in info:
        raise UserError(
            f"{path} does not say what it was trained on, so nobody knows whether it has heard what fold {fold.name} "
            "tests; train it again"
        )
    learnt, chosen = set(info[TRAINED_ON]), set(info.get(CHOSEN_ON, ()))
    _refuse(path, learnt & set(fold.test), "was trained on", f"fold {fold.name} tests")
    _refuse(path, learnt & set(fold.dev), "was trained on", f"fold {fold.name} chooses its epoch by")
    _refuse(path, chosen & set(fold.test), "chose its epoch by", f"fold {fold.name} tests")


def _refuse(path: Path, known: Iterable[str], what: str, where: str) -> None:
    names = sorted(known)
    if names:
        count = f"{len(names)} utterances" if len(names) > 1 else "an utterance"
        raise UserError(f"{path} {what} {count} ({names[0]}) that {where}; {HOW}")
