"""S4's systems: training and prediction."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sertools.a2w.training import Recogniser, load_a2w
from sertools.decoding.transcripts import write_transcripts
from sertools.emotion.joint_asr.config import S4Config
from sertools.emotion.joint_asr.data import TEXT, Spoken, load_spoken
from sertools.emotion.joint_asr.hearing import Heard, Memory, hear, transcripts, word_errors
from sertools.emotion.joint_asr.network import JointNetwork, predict
from sertools.emotion.joint_asr.task import S4Task
from sertools.emotion.joint_asr.words import WordReader
from sertools.emotion.objective import Objective
from sertools.emotion.system import Label, Predicted
from sertools.emotion.transductive import REFERENCE
from sertools.errors import UserError
from sertools.lang.text import TextConfig
from sertools.partitions.target import Target
from sertools.runs.folder import TRANSCRIPTS
from sertools.training.checkpoint import load_checkpoint, load_weights
from sertools.training.distributed import Group
from sertools.training.loop import TrainingConfig
from sertools.training.run import CHECKPOINT

log = logging.getLogger(__name__)


def make_system(config: S4Config, recogniser: Path | None, transcripts: Path | None) -> "S4System":
    """Put a system together with what it needs.

    Args:
        config: as configured.
        recogniser: checkpoint of an acoustic-to-word recogniser; read if ``config`` uses one.
        transcripts: table of recognised words; read if ``config`` uses one.

    Raises:
        UserError: something that is needed is not given, or does not fit.
    """
    loaded = None
    if recogniser is not None and config.uses_recogniser:
        loaded = load_a2w(recogniser)
        shape = loaded.config.model
        if config.recogniser is not None and config.recogniser != shape:
            raise UserError(f"recogniser: is not the shape of {recogniser}; leave it out, it is taken from there")
        if config.reads_states and shape.feature_dim != config.model.feature_dim:
            raise UserError(
                f"{recogniser} takes features of dimension {shape.feature_dim}; set model.feature_dim to it, and give "
                "cuts with such features"
            )
        config = replace(config, recogniser=shape)
    return S4System(config, loaded, transcripts if config.uses_transcripts else None)


@dataclass
class S4System:
    """A system with its recogniser and transcripts, if it has them.

    Attributes:
        config: complete.
        recogniser: as it was trained elsewhere.
        transcripts: table of recognised words.
    """

    config: S4Config
    recogniser: Recogniser | None = None
    transcripts: Path | None = None
    _memory: Memory | None = field(default=None, repr=False)

    @property
    def training(self) -> TrainingConfig:
        """Settings of the loop."""
        return self.config.training

    @property
    def reading(self) -> int:
        """Its own: it remembers what its recogniser makes of what it has read."""
        return id(self)

    def remarks(self, features: Any) -> list[str]:
        """Whether it is told what was said."""
        return [REFERENCE] if self.config.reads_reference else []

    @property
    def text(self) -> TextConfig:
        """How references become words: without punctuation, in the recogniser's case."""
        if self.recogniser is None:
            return TEXT
        return replace(self.recogniser.vocabulary.text, drop_punctuation=True)

    @property
    def memory(self) -> Memory:
        """What the recogniser as it was makes of utterances."""
        assert self._memory is not None  # what is asked for was read before
        return self._memory

    def read(self, cuts: Sequence[Path], labels: Mapping[str, Label]) -> dict[str, Spoken]:
        """Utterances with words, features if a branch hears them, and recognised words if it reads them."""
        found = load_spoken(cuts, labels, self.config, self.transcripts, self.text)
        if self.recogniser is not None:
            model, vocabulary = self.recogniser.model, self.recogniser.vocabulary
            self._memory = Memory(model, vocabulary, self.config.states, [found[name] for name in sorted(found)])
        return found

    def task(
        self, target: Target, train: Sequence[Spoken], dev: Sequence[Spoken], *, seed: int, device: str, group: Group
    ) -> S4Task:
        """Emotion alone, or jointly with the recogniser."""
        words = None
        if self.config.reads_words:
            vocabulary = self.recogniser.vocabulary if self.recogniser is not None else None
            words = WordReader.of(self.config.words, train, vocabulary)
        return S4Task(
            self.config, target, train, dev, words, self.recogniser,
            self.memory if self.recogniser is not None else None, seed=seed, device=device, group=group,
        )  # fmt: skip

    def predict(self, run: Path, target: Target, parts: Mapping[str, Sequence[Spoken]], device: str) -> Predicted:
        """Outputs of utterances; where words are recognised, writes tables of them."""
        checkpoint = load_checkpoint(run / CHECKPOINT)
        words = WordReader.from_info(checkpoint.info) if self.config.reads_words else None
        model = JointNetwork(self.config, target.num_outputs, words, self.recogniser)
        load_weights(model, checkpoint.weights, str(run / CHECKPOINT))
        model.to(device)
        utterances = [one for part in parts.values() for one in part]
        part_of = {one.id: name for name, part in parts.items() for one in part}
        heard, files = self._listen(model, utterances, run, device)
        objective = Objective.of_outputs(target)
        order, outputs, _ = predict(model, utterances, self.config, words, heard, objective, device)
        return Predicted(order, [part_of[one.id] for one in order], outputs, files)

    def _listen(
        self, model: JointNetwork, utterances: Sequence[Spoken], run: Path, device: str
    ) -> tuple[dict[str, Heard], list[str]]:
        """What the decoder's states are, and the tables of words that were written."""
        if not self.config.reads_states:
            return {}, []
        assert self.recogniser is not None
        vocabulary, states = self.recogniser.vocabulary, self.config.states
        now = {TRANSCRIPTS[0]: self.memory.hypotheses(utterances, device)}
        if model.recogniser is not None:
            now[TRANSCRIPTS[1]] = hear(model.recogniser, vocabulary, utterances, states, states.search)
        for name, found in now.items():
            write_transcripts(transcripts(utterances, found), run / name)
            log.info("%s: WER %.2f %%", name, word_errors(utterances, found))
        return model.heard(utterances, states.test, self.memory, now.get(TRANSCRIPTS[1])), list(now)
