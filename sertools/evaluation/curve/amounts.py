"""What a learning curve is drawn over: the amount of something that each run's checkpoint says it learnt from."""

from collections.abc import Callable
from dataclasses import dataclass

from sertools.errors import UserError
from sertools.runs.folder import COPIES, GUESSED, SPEECH, TRAINED_ON, Run
from sertools.runs.predictions import Predictions


@dataclass(frozen=True)
class Amount:
    """Something of which there can be more or less.

    Attributes:
        name: on the command line.
        of: how much of it a run had, given its prediction table; None if the run does not say.
        unit: in sentences, "32 examples a class"; given whether the runs tell classes apart.
        axis: of the plot, likewise.
        digits: of a size in a sentence.
        without: of systems that have nothing of it, a heading.
        mend: what to do where a run does not say.
    """

    name: str
    of: Callable[[Run, Predictions], float | None]
    unit: Callable[[bool], str]
    axis: Callable[[bool], str]
    digits: int
    without: str
    mend: str

    def show(self, size: float) -> str:
        """A size in a sentence."""
        return f"{size:.{self.digits}g}"


def find_amount(name: str) -> Amount:
    """By its name.

    Raises:
        UserError: there is none.
    """
    for amount in AMOUNTS:
        if amount.name == name:
            return amount
    raise UserError(f"a curve is over {' or '.join(one.name for one in AMOUNTS)}, not over {name}")


def _utterances(run: Run, table: Predictions) -> float | None:
    if TRAINED_ON not in run.info:
        return None
    labelled = set(run.info[TRAINED_ON]) - {*run.info.get(GUESSED, ()), *run.info.get(COPIES, ())}
    return len(labelled) / max(len(table.classes), 1)


def _minutes(run: Run, table: Predictions) -> float | None:
    return float(run.info[SPEECH]["seconds"]) / 60 if SPEECH in run.info else None


def _a_class(classes: bool) -> str:
    return " a class" if classes else ""


UTTERANCES = Amount(
    "utterances", _utterances, lambda classes: f"examples{_a_class(classes)}",
    lambda classes: f"training utterances{_a_class(classes)}", 4, "beside them", "train it again",
)  # fmt: skip
"""Of labelled training utterances, a class."""
MINUTES = Amount(
    "speech", _minutes, lambda classes: "minutes of transcribed speech",
    lambda classes: "minutes of transcribed speech that the network was pretrained on", 3, "without pretraining",
    "systems of S1 that start from a pretrained network do, where both were trained by this version",
)  # fmt: skip
"""Of the transcribed speech that a pretrained network has learnt from."""
AMOUNTS = (UTTERANCES, MINUTES)
