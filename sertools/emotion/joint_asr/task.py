"""Training of S4's systems: emotion alone, or jointly with the recogniser."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from sertools.a2w.loss import encode, loss_of_outputs, teach
from sertools.a2w.training import Recogniser
from sertools.data.statistics import mean_and_deviation
from sertools.data.weights import balanced_weights
from sertools.decoding.beam_search import Hypothesis, beam_search
from sertools.emotion.joint_asr.config import S4Config
from sertools.emotion.joint_asr.data import Batch, Spoken, collate, plan, whole
from sertools.emotion.joint_asr.hearing import Heard, Memory, hear, steps_of, targets, word_errors
from sertools.emotion.joint_asr.network import JointNetwork, padded_to, predict, sequences_of, stack_states
from sertools.emotion.joint_asr.words import WordReader
from sertools.emotion.objective import Objective
from sertools.errors import UserError
from sertools.models.a2w import A2wModel
from sertools.models.layers import set_share
from sertools.partitions.target import Target
from sertools.training.distributed import SINGLE, Group
from sertools.training.precision import autocast, check_precision


class S4Task:
    """A :class:`sertools.emotion.system.SystemTask`: its methods are the loop's.

    Args:
        config: complete.
        target: what is predicted.
        train, dev: utterances.
        words: what the branch ``words`` reads, if there is one.
        recogniser: to start from, if one is used.
        memory: of that recogniser, for states while it does not learn.
        seed: of initialisation and batches.
        device: where to compute.
        group: the processes that share the training.
    """

    def __init__(
        self,
        config: S4Config,
        target: Target,
        train: Sequence[Spoken],
        dev: Sequence[Spoken],
        words: WordReader | None = None,
        recogniser: Recogniser | None = None,
        memory: Memory | None = None,
        *,
        seed: int,
        device: str,
        group: Group = SINGLE,
    ) -> None:
        torch.manual_seed(seed)
        self.config = config
        self.objective = Objective.of(target, config.loss, group.size)
        self.train = train
        self.dev = dev
        self.words = words
        self.memory = memory
        self.seed = seed
        self.device = device
        self.dtype = check_precision(config.precision, device)
        self.group = group
        self.model = JointNetwork(config, target.num_outputs, words, recogniser)
        if config.reads_audio:
            self.model.emotion.set_input_statistics(*mean_and_deviation(one.features for one in train))
        self.model.to(device)
        self.class_weights: Tensor | None = None
        if config.data.class_weights == "balanced":
            if target.kind == "number":
                raise UserError(f"data.class_weights: balanced: the target {target.name} has no classes")
            self.class_weights = balanced_weights(((int(one.label), 1.0) for one in train), target.num_outputs).to(
                device
            )

    def about(self) -> dict[str, Any]:
        """The words that the branch ``words`` knows."""
        return self.words.about() if self.words is not None else {}

    def _generator(self, epoch: int, purpose: int) -> torch.Generator:
        return torch.Generator().manual_seed((self.seed * 100003 + epoch) * 2 + purpose)

    def num_batches(self, epoch: int) -> int:
        """The same number in every epoch."""
        return -(-len(self.train) // self.config.data.batch_size)

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """Utterances of similar length, another grouping in every epoch."""
        for number, indices in enumerate(plan(self.train, self.config.data.batch_size, self._generator(epoch, 0))):
            if number >= start:
                # a generator a batch: where the stretches lie does not depend on where one starts
                generator = self._generator(epoch * 1000003 + number, 1)
                part = self.group.split.part(len(indices))
                yield collate([self.train[i] for i in indices], self.config.data, generator, part)

    def before_step(self, progress: float) -> None:
        """Nothing."""

    def after_step(self, step: int) -> None:
        """Nothing."""

    def loss(self, batch: Batch) -> tuple[Tensor, float]:
        """L of a batch, which weighs its number of utterances."""
        if self.group.size > 1:
            set_share(self.model, self.group.share(batch.part))
        weight = float(len(batch.utterances)) if batch.part is None or batch.part.counts else 0.0
        recogniser = self.model.recogniser
        if recogniser is None:
            states = None
            if self.config.reads_states:
                states = stack_states(batch, self._remembered(batch.utterances), self.device)
            return self._emotion_loss(batch, states), weight
        joint = self.config.joint
        states, recognition = self._recognition(recogniser, batch)
        # a task that counts nothing is left out: 0 times what is infinite is no number
        if joint.weight == 1.0:
            return recognition, weight
        emotion = self._emotion_loss(batch, states)
        if joint.weight == 0.0:
            return emotion, weight
        return joint.weight * recognition + (1.0 - joint.weight) * emotion, weight

    def _remembered(self, utterances: Sequence[Spoken]) -> dict[str, Heard]:
        assert self.memory is not None
        return self.memory.states(utterances, self.config.states.train, self.device)

    def _emotion_loss(self, batch: Batch, states: tuple[Tensor, Tensor] | None) -> Tensor:
        """Mean loss of utterances; class weights are 1 in the mean over the train part."""
        labels = self.objective.labels([one.label for one in batch.utterances]).to(self.device, non_blocking=True)
        sequences = sequences_of(self.config, batch, self.words, states, self.device, training=True)
        with autocast(self.dtype, torch.device(self.device)):
            scores = self.model.emotion(sequences, padded_to(self.config))
        return self.objective.of_utterances(scores, labels, self.class_weights)

    def _recognition(self, recogniser: A2wModel, batch: Batch) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Decoder states with gradients and how many each utterance has; the recogniser's loss."""
        joint, states = self.config.joint, self.config.states
        features, lengths = whole(batch.utterances)
        features = features.to(self.device, non_blocking=True)
        # first, without gradients and dropout, what the decoder is to read
        own = self._own(recogniser, features, lengths) if states.train == "hypothesis" else None
        encoding = encode(recogniser, features, lengths, self.dtype)
        references = targets(batch.utterances, self.model.vocabulary)
        decoded = teach(recogniser, encoding, references)
        total, count = loss_of_outputs(
            recogniser, decoded, references, smoothing=joint.smoothing, normalise="utterance"
        )
        loss = total / count
        if joint.normalise == "code":
            loss = loss * (batch.part.size if batch.part is not None else len(batch.utterances))
        if own is None:
            return (steps_of(decoded, states), torch.tensor([len(one) + 1 for one in references])), loss
        read = teach(recogniser, encoding, [one.tokens for one in own])
        return (steps_of(read, states), torch.tensor([len(one.tokens) + one.ended for one in own])), loss

    @torch.no_grad()
    def _own(self, recogniser: A2wModel, features: Tensor, lengths: Tensor) -> list[Hypothesis]:
        """Best hypotheses, as on test."""
        recogniser.eval()
        found = beam_search(recogniser, recogniser.encode(features, lengths), self.config.states.epoch_search)
        recogniser.train()
        return [each[0] for each in found]

    def evaluate(self) -> dict[str, float]:
        """Loss and scores of the dev part, and the WER in percent while the recogniser learns."""
        return self.group.from_first(self._evaluate)

    def _evaluate(self) -> dict[str, float]:
        hypotheses, heard = None, {}
        if self.model.recogniser is not None:
            states = self.config.states
            hypotheses = hear(self.model.recogniser, self.model.vocabulary, self.dev, states, states.epoch_search)
        if self.config.reads_states:
            heard = self.model.heard(self.dev, self.config.states.test, self.memory, hypotheses)
        order, outputs, loss = predict(
            self.model, self.dev, self.config, self.words, heard, self.objective, self.device
        )
        scores = self.objective.dev_scores(loss, [one.label for one in order], outputs)
        return scores if hypotheses is None else scores | {"dev_wer": word_errors(self.dev, hypotheses)}
