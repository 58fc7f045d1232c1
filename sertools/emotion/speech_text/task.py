"""Training of a network of speech and words, and what it says of utterances."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sertools.data.batching import plan_by_number
from sertools.data.statistics import mean_and_deviation
from sertools.data.weights import balanced_weights
from sertools.emotion.data import Utterance
from sertools.emotion.objective import Objective
from sertools.emotion.speech_text.config import SpeechTextConfig
from sertools.emotion.speech_text.network import Sequences, SpeechTextNetwork
from sertools.errors import UserError
from sertools.partitions.target import Target


@dataclass(frozen=True)
class Told:
    """An utterance: frames, words, or both, which know its id, speaker, corpus and label; and when words are said."""

    speech: Utterance | None
    words: Utterance | None
    times: Utterance | None = None

    @property
    def _either(self) -> Utterance:
        one = self.speech if self.speech is not None else self.words
        assert one is not None
        return one

    @property
    def id(self) -> str:
        """As in folds and predictions."""
        return self._either.id

    @property
    def speaker(self) -> str:
        """Who speaks."""
        return self._either.speaker

    @property
    def corpus(self) -> str:
        """Where it is from."""
        return self._either.corpus

    @property
    def label(self) -> int | float:
        """Of the target."""
        return self._either.label

    @property
    def rows(self) -> int:
        """Frames, or words where there are none: what batches are planned by."""
        return self._either.frames


def sequences(utterances: Sequence[Utterance | None], device: str) -> Sequences | None:
    """Rows of a batch; None where there are none of this kind."""
    found = [one.features.float() for one in utterances if one is not None]
    if not found:
        return None
    padded = torch.nn.utils.rnn.pad_sequence(found, batch_first=True).to(device, non_blocking=True)
    return Sequences(padded, torch.tensor([len(one) for one in found]))


def make_network(config: SpeechTextConfig, speech_dim: int, words_dim: int, target: Target) -> SpeechTextNetwork:
    """With random weights."""
    return SpeechTextNetwork(config.model, speech_dim, words_dim, target.num_outputs, bool(config.times))


class SpeechTextTask:
    """Cross-entropy of utterances, or the loss of a number; see :class:`sertools.emotion.system.SystemTask`.

    Args:
        config, target: of the run.
        train, dev: utterances.
        seed: of initialisation, dropout and batches.
        device: where to compute.
    """

    def __init__(
        self, config: SpeechTextConfig, target: Target, train: Sequence[Told], dev: Sequence[Told], *, seed: int,
        device: str,
    ) -> None:  # fmt: skip
        torch.manual_seed(seed)
        self.config, self.target, self.train, self.dev = config, target, train, dev
        self.seed, self.device = seed, device
        self.objective = Objective.of(target, None)
        parts = {"speech": [one.speech for one in train], "words": [one.words for one in train]}
        found = {name: [one for one in ones if one is not None] for name, ones in parts.items()}
        widths = {name: ones[0].features.shape[1] if ones else 0 for name, ones in found.items()}
        model = make_network(config, widths["speech"], widths["words"], target)
        for name, ones in found.items():
            if ones:
                model.standardise(name, *mean_and_deviation(one.once() for one in ones))
        self.model = model.to(device)
        self.class_weights: Tensor | None = None
        if config.data.class_weights == "balanced":
            if target.kind == "number":
                raise UserError(f"data.class_weights: balanced: the target {target.name} has no classes")
            amounts = ((int(one.label), 1.0) for one in train)
            self.class_weights = balanced_weights(amounts, target.num_outputs).to(device)

    def about(self) -> dict[str, Any]:
        """Widths of what is read."""
        model = self.model
        return {"speech_dim": len(model.get_buffer("speech_mean")), "words_dim": len(model.get_buffer("words_mean"))}

    def _plan(self, epoch: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed((self.seed * 100003 + epoch) * 2)
        return plan_by_number([one.rows for one in self.train], self.config.data.batch_size, generator)

    def num_batches(self, epoch: int) -> int:
        """Batches of an epoch."""
        return len(self._plan(epoch))

    def batches(self, epoch: int, start: int) -> Iterator[list[Told]]:
        """Utterances of similar length."""
        for indices in self._plan(epoch)[start:]:
            yield [self.train[i] for i in indices]

    def before_step(self, progress: float) -> None:
        """Nothing."""

    def after_step(self, step: int) -> None:
        """Nothing."""

    def loss(self, batch: list[Told]) -> tuple[Tensor, float]:
        """Mean over utterances, and how many they are."""
        labels = self.objective.labels([one.label for one in batch]).to(self.device, non_blocking=True)
        scores = outputs_of(self.model, batch, self.device)
        return self.objective.of_utterances(scores, labels, self.class_weights), float(len(batch))

    def evaluate(self) -> dict[str, float]:
        """Loss and scores of the dev part."""
        outputs, loss = predict(self.model, self.dev, self.config, self.objective, self.device)
        return self.objective.dev_scores(loss, [one.label for one in self.dev], outputs)


def outputs_of(model: SpeechTextNetwork, batch: Sequence[Told], device: str) -> Tensor:
    """Scores (N, C)."""
    speech, words, times = (
        sequences(found, device)
        for found in ([one.speech for one in batch], [one.words for one in batch], [one.times for one in batch])
    )
    scores: Tensor = model(speech, words, None if times is None else times.values)
    return scores


@torch.no_grad()
def predict(
    model: SpeechTextNetwork, utterances: Sequence[Told], config: SpeechTextConfig, objective: Objective, device: str
) -> tuple[Tensor, float]:
    """Probabilities (N, C) or values (N,), float64, in the order of the utterances; and their mean loss."""
    model.eval()
    scores: list[Tensor] = [torch.empty(0)] * len(utterances)
    for indices in plan_by_number([one.rows for one in utterances], config.data.batch_size, None):
        for index, row in zip(indices, outputs_of(model, [utterances[i] for i in indices], device), strict=True):
            scores[index] = row.double().cpu()
    found = torch.stack(scores)
    labels = objective.labels([one.label for one in utterances])
    loss = float(objective.of_utterances(found, labels))
    return (found[:, 0] if objective.target.kind == "number" else torch.softmax(found, 1)), loss
