"""S5's systems: training and prediction."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sertools.emotion.cnn14.config import Cnn14SystemConfig
from sertools.emotion.cnn14.start import Start
from sertools.emotion.cnn14.task import Cnn14Task, predict
from sertools.emotion.data import Utterance, load_utterances
from sertools.emotion.objective import Objective
from sertools.emotion.system import Applied, Label, Predicted, predict_parts
from sertools.errors import UserError
from sertools.files import write_text
from sertools.models.cnn14 import Cnn14
from sertools.models.layer_distance import layer_distances
from sertools.partitions.target import Target
from sertools.runs.folder import DISTANCE_KEY, DISTANCES, HISTORY, best_epoch, read_history
from sertools.training.checkpoint import load_checkpoint, load_weights
from sertools.training.distributed import Group
from sertools.training.run import CHECKPOINT
from sertools.training.task import TrainingConfig

TEST_WATCHED = "The test part was scored at every epoch, for a figure; no epoch was chosen by it."


class Cnn14System:
    """See :mod:`sertools.emotion.system`; trained by the loop.

    Args:
        config: complete.
        start: weights to start from; None for random ones.
    """

    def __init__(self, config: Cnn14SystemConfig, start: Start | None = None) -> None:
        self.config = config
        self.reading = config.reading
        self._start = start

    @property
    def training(self) -> TrainingConfig:
        """Settings of the loop."""
        return self.config.training

    @property
    def watches_test(self) -> bool:
        """See :class:`sertools.emotion.system.Watching`."""
        return self.config.test_curve

    def remarks(self, features: Any) -> list[str]:
        """Whether test was scored at every epoch."""
        return [TEST_WATCHED] if self.config.test_curve else []

    def read(self, cuts: Sequence[Path], labels: Mapping[str, Label]) -> dict[str, Utterance]:
        """Utterances with their spectra.

        Raises:
            UserError: the features have another number of bands than the network takes.
        """
        found = load_utterances(cuts, labels, self.reading)
        bands = next(iter(found.values())).features.shape[1]
        if bands != self.config.model.num_mel_bins:
            raise UserError(
                f"{cuts[0]}: {self.config.features} has {bands} bands, and the network takes "
                f"{self.config.model.num_mel_bins} (model.num_mel_bins)"
            )
        return found

    def task(
        self, target: Target, train: Sequence[Utterance], dev: Sequence[Utterance], *, seed: int, device: str,
        group: Group,
    ) -> Cnn14Task:  # fmt: skip
        """Weighted cross-entropy of utterances, or the loss of a number."""
        return Cnn14Task(self.config, target, train, dev, seed=seed, device=device, start=self._start, group=group)

    def predict(self, run: Path, target: Target, parts: Mapping[str, Sequence[Utterance]], device: str) -> Predicted:
        """Outputs of whole utterances; and the table of the layers' distances from their start."""
        applied = self.trained(run, target, device)
        return predict_parts(applied, parts, (_write_distances(run, self.network(run, target)),))

    def trained(self, run: Path, target: Target, device: str) -> Applied:
        """See :class:`sertools.emotion.system.Applicable`."""
        model, objective = self.network(run, target).to(device), Objective.of_outputs(target)
        return lambda utterances: predict(model, utterances, self.config, objective, device)[:2]

    def network(self, run: Path, target: Target) -> Cnn14:
        """The trained network of a run, in training mode."""
        model = Cnn14(self.config.model, target.num_outputs)
        load_weights(model, load_checkpoint(run / CHECKPOINT).weights, str(run / CHECKPOINT))
        return model


def _write_distances(run: Path, model: Cnn14) -> str:
    """Of the best and the last epoch, out of the history."""
    history = read_history(run / HISTORY)
    best = best_epoch_of(run, history)
    own = {name: value.cpu() for name, value in model.state_dict().items()}
    kinds = {one.name: one.kind for one in layer_distances(own, own)}
    lines = ["epoch,kind,layer,distance"]
    for which, entry in (("best", history[best - 1]), ("last", history[-1])):
        for name, kind in kinds.items():
            if (distance := entry.get(f"{DISTANCE_KEY}{name}")) is not None:
                lines.append(f"{which},{kind},{name},{distance:.9g}")
    write_text(run / DISTANCES, "\n".join(lines) + "\n")
    return DISTANCES


def best_epoch_of(run: Path, history: Sequence[Mapping[str, Any]]) -> int:
    """The epoch whose weights were kept."""
    told = load_checkpoint(run / CHECKPOINT).info.get("best_epoch")
    found = int(told) if told is not None else best_epoch(history)
    assert found is not None
    return found
