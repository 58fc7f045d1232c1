"""Speech and words as a system."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sertools.emotion.data import Reading, Utterance, load_utterances
from sertools.emotion.objective import Objective
from sertools.emotion.speech_text.config import SpeechTextConfig
from sertools.emotion.speech_text.network import SpeechTextNetwork
from sertools.emotion.speech_text.task import SpeechTextTask, Told, make_network, predict
from sertools.emotion.system import Applied, Label, Predicted, predict_parts
from sertools.emotion.transductive import REFERENCE
from sertools.errors import UserError
from sertools.partitions.target import Target
from sertools.training.checkpoint import load_checkpoint, load_weights
from sertools.training.distributed import Group
from sertools.training.loop import TrainingConfig
from sertools.training.run import CHECKPOINT


class SpeechTextSystem:
    """See :mod:`sertools.emotion.system`; trained by the loop."""

    def __init__(self, config: SpeechTextConfig) -> None:
        self.config = config
        self.reading = config.arrays, config.times, config.data.memory_gb

    @property
    def training(self) -> TrainingConfig:
        """Settings of the loop."""
        return self.config.training

    def remarks(self, features: Any) -> list[str]:
        """Whether it is told what was said."""
        return [REFERENCE] if self.config.reads_reference else []

    def read(self, cuts: Sequence[Path], labels: Mapping[str, Label]) -> dict[str, Told]:
        """Frames, words and their times of utterances."""
        speech, words = (self._read(names, cuts, labels) for names in self.config.arrays)
        times = self._read((self.config.times,), cuts, labels) if self.config.times else {}
        for name, own in times.items():
            if own.frames != words[name].frames:
                raise UserError(
                    f"{name} has {words[name].frames} words in {self.config.words} and {own.frames} in "
                    f"{self.config.times}; run the feature stage for both again, on the same manifest"
                )
        return {name: Told(speech.get(name), words.get(name), times.get(name)) for name in speech or words}

    def _read(self, names: tuple[str, ...], cuts: Sequence[Path], labels: Mapping[str, Label]) -> dict[str, Utterance]:
        if not names:
            return {}
        return load_utterances(cuts, labels, Reading(names, memory_gb=self.config.data.memory_gb))

    def task(
        self, target: Target, train: Sequence[Told], dev: Sequence[Told], *, seed: int, device: str, group: Group
    ) -> SpeechTextTask:
        """The training.

        Raises:
            UserError: several processes are to share it.
        """
        if group.size > 1:
            raise UserError("this kind of system is trained by one process: start it without --tasks-per-node, --nodes")
        return SpeechTextTask(self.config, target, train, dev, seed=seed, device=device)

    def predict(self, run: Path, target: Target, parts: Mapping[str, Sequence[Told]], device: str) -> Predicted:
        """Probabilities or values of whole utterances."""
        return predict_parts(self.trained(run, target, device), parts)

    def trained(self, run: Path, target: Target, device: str) -> Applied:
        """See :class:`sertools.emotion.system.Applicable`."""
        model, objective = self.network(run, target).to(device), Objective.of_outputs(target)
        return lambda rows: (rows, predict(model, rows, self.config, objective, device)[0])

    def network(self, run: Path, target: Target) -> SpeechTextNetwork:
        """The trained network."""
        checkpoint = load_checkpoint(run / CHECKPOINT)
        model = make_network(self.config, checkpoint.info["speech_dim"], checkpoint.info["words_dim"], target)
        load_weights(model, checkpoint.weights, str(run / CHECKPOINT))
        return model
