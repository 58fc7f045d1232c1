"""The emotion network and the recogniser that learns with it, and what they say of utterances."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from sertools.a2w.training import Recogniser
from sertools.emotion.joint_asr.config import S4Config, Tokens
from sertools.emotion.joint_asr.data import Batch, Spoken, batches_in_order
from sertools.emotion.joint_asr.hearing import Heard, Memory, follow
from sertools.emotion.joint_asr.words import WordReader
from sertools.emotion.objective import Objective
from sertools.models.a2w import A2wModel
from sertools.models.speech_text import SpeechTextNetwork


class JointNetwork(nn.Module):
    """What is trained.

    Args:
        config: complete.
        num_outputs: classes of the softmax, or 1.
        words: what the branch ``words`` reads, if there is one.
        given: the recogniser to start from; this network has one of its own if it learns.
    """

    def __init__(self, config: S4Config, num_outputs: int, words: WordReader | None, given: Recogniser | None) -> None:
        super().__init__()
        state_dim = config.recogniser.decoder_dim if config.recogniser is not None else 0
        num_words = len(words.vocabulary) if words is not None else 0
        self.config = config
        self.emotion = SpeechTextNetwork(config.model, num_outputs, num_words, state_dim)
        self.recogniser: A2wModel | None = None
        if config.joint_training:
            assert given is not None
            self.vocabulary = given.vocabulary
            self.recogniser = A2wModel(given.config.model, len(given.vocabulary))
            weights = {n: w for n, w in given.model.state_dict().items() if not n.startswith("auxiliary.")}
            self.recogniser.load_state_dict(weights)
            self.recogniser.learning_rate_factor = config.joint.learning_rate_factor  # type: ignore[assignment]

    def heard(
        self, utterances: Sequence[Spoken], source: Tokens, memory: Memory | None, hypotheses: dict[str, Heard] | None
    ) -> dict[str, Heard]:
        """The states that the emotion network reads when it does not learn.

        Args:
            utterances: of whom.
            source: see :class:`sertools.emotion.joint_asr.config.StatesConfig`.
            memory: of the recogniser as it was given, for one that does not learn.
            hypotheses: of this network's recogniser, if it has one.
        """
        if self.recogniser is None:
            assert memory is not None
            return memory.states(utterances, source, str(self.emotion.output.weight.device))
        if source == "reference":
            return follow(self.recogniser, self.vocabulary, utterances, self.config.states)
        assert hypotheses is not None
        return hypotheses


def sequences_of(
    config: S4Config, batch: Batch, words: WordReader | None, states: tuple[Tensor, Tensor] | None, device: str,
    training: bool,
) -> dict[str, tuple[Tensor, Tensor]]:  # fmt: skip
    """What the branches of the emotion network read of a batch; ``states`` are those of the decoder."""
    found = {}
    if config.reads_audio:
        found["audio"] = batch.audio.to(device, non_blocking=True), batch.lengths
    if words is not None:
        ids, lengths = words(batch.utterances, config.words.train if training else config.words.test)
        found["words"] = ids.to(device, non_blocking=True), lengths
    if states is not None:
        found["decoder_states"] = states
    return found


def stack_states(batch: Batch, heard: Mapping[str, Heard], device: str) -> tuple[Tensor, Tensor]:
    """States of a batch's utterances (N, L, D), padded with zeros, and their numbers (N,)."""
    rows = [heard[one.id].states for one in batch.utterances]
    lengths = torch.tensor([len(row) for row in rows])
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device, non_blocking=True), lengths


def padded_to(config: S4Config) -> int:
    """Frames up to which zeros are read as speech; 0 for none."""
    return 0 if config.data.mask_padding else config.data.max_frames


@torch.no_grad()
def predict(
    model: JointNetwork, utterances: Sequence[Spoken], config: S4Config, words: WordReader | None,
    heard: Mapping[str, Heard], objective: Objective, device: str,
) -> tuple[list[Spoken], Tensor, float]:  # fmt: skip
    """What the network says of utterances.

    Args:
        model: put into evaluation mode.
        utterances: at least one.
        config: complete.
        words: what the branch ``words`` reads, if there is one.
        heard: see :meth:`JointNetwork.heard`; empty without the branch ``decoder_states``.
        objective: of the target.
        device: of the model.

    Returns:
        The utterances in the order of the rows; probabilities (N, C) or values (N,), float64; and the mean loss.
    """
    model.eval()
    order: list[Spoken] = []
    rows = []
    for batch in batches_in_order(utterances, config.data):
        states = stack_states(batch, heard, device) if config.reads_states else None
        sequences = sequences_of(config, batch, words, states, device, training=False)
        rows.append(model.emotion(sequences, padded_to(config)).double().cpu())
        order += batch.utterances
    scores = torch.cat(rows)
    loss = float(objective.of_utterances(scores, objective.labels([one.label for one in order])))
    return order, scores[:, 0] if objective.target.kind == "number" else scores.softmax(-1), loss
