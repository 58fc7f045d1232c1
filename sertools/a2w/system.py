"""The acoustic-to-word system: its configuration, and what the training loop trains."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from sertools.a2w.auxiliary import Auxiliary, Kind
from sertools.a2w.loss import CHUNK, encode, loss_of_outputs, off_diagonal, pad_tokens, teach
from sertools.asr.objectives import Value
from sertools.data.batching import plan_batches
from sertools.data.reader import Reader
from sertools.data.statistics import sample_statistics
from sertools.data.transcribed import Batch, Batches, DataConfig, batches_in_order, epoch_batches, timed
from sertools.decoding.beam_search import BeamConfig, beam_search
from sertools.decoding.wer import count_errors, spoken
from sertools.errors import UserError
from sertools.lang.vocabulary import Vocabulary
from sertools.lfmmi import LfmmiConfig
from sertools.models.a2w import A2wModel, A2wModelConfig, Decoded, Encoding
from sertools.models.layers import set_share
from sertools.training.distributed import SINGLE, Group
from sertools.training.loop import TrainingConfig
from sertools.training.precision import Precision, check_precision
from sertools.training.schedule import check_schedule, piecewise_linear

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class A2wDataConfig(DataConfig):
    """As DataConfig; there are no i-vectors.

    Attributes:
        sorted_epochs: in so many epochs, the first ones, short utterances come first: attention finds
            its way through them more easily.
    """

    sorted_epochs: int = 0


@dataclass(frozen=True)
class A2wConfig:
    """``conf/a2w.yaml``: a whole system.

    Attributes:
        model: the network.
        auxiliary: second objective of the encoder: ``ctc`` (torch's, over the most probable
            pronunciations), ``ctc_phones`` (CTC over all pronunciations), ``lfmmi``, or none.
        auxiliary_weight: w of (1 - w) attention + w auxiliary, both in nats a token.
        lfmmi: options of that objective.
        smoothing: of labels; 0 for none.
        sampling: scheduled sampling (Bengio et al. 2015), a Kaldi schedule over training: with this
            probability the decoder reads its own best token in place of the reference's.
        token_dropout: with this probability the decoder reads <UNK> in place of a token, and has to listen.
        guide: weight of guided attention, a Kaldi schedule over training: nats a token for looking far from
            the diagonal (sertools.a2w.loss.off_diagonal), by which little data is enough to align.
        guide_width: part of an utterance that is near the diagonal.
        normalise: whether each token counts the same, or each utterance (without a second objective, which
            counts by token).
        data: batches.
        training: the loop.
        dev_search: the search for ``dev_wer``; a beam of 1 (greedy) is quick.
        chunk: rows of the softmax that are in memory at once.
        precision: of the encoder's activations while it trains; weights, attention, decoder and losses are
            in float32, and LSTM layers on a GPU, for cuDNN has none in bfloat16.
    """

    model: A2wModelConfig = field(default_factory=A2wModelConfig)
    auxiliary: Kind = "none"
    auxiliary_weight: float = 0.3
    lfmmi: LfmmiConfig = field(default_factory=lambda: LfmmiConfig(xent_regularize=0.0))
    smoothing: float = 0.1
    sampling: str | float = 0.0
    token_dropout: float = 0.0
    guide: str | float = 0.0
    guide_width: float = 0.15
    normalise: Literal["token", "utterance"] = "token"
    data: A2wDataConfig = field(default_factory=A2wDataConfig)
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(select_by="dev_wer"))
    dev_search: BeamConfig = field(default_factory=lambda: BeamConfig(beam=1))
    chunk: int = CHUNK
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        check_schedule("sampling", self.sampling)
        check_schedule("guide", self.guide, 1e6)
        if not 0 <= self.token_dropout < 1:
            raise ValueError("token_dropout must be from 0 to below 1")
        if self.normalise == "utterance" and self.auxiliary != "none":
            raise ValueError("normalise: utterance does not go with an auxiliary objective, which counts by token")
        if self.guide_width <= 0:
            raise ValueError("guide_width must be above 0")
        if not 0 <= self.auxiliary_weight < 1:
            raise ValueError("auxiliary_weight must be from 0 to below 1")
        if not 0 <= self.smoothing < 1:
            raise ValueError("smoothing must be from 0 to below 1")
        if self.lfmmi.xent_regularize:
            raise ValueError("lfmmi.xent_regularize must be 0: there is no second head of the encoder")


@dataclass(frozen=True)
class Targets:
    """What a text becomes: its tokens, and what the second objective needs."""

    vocabulary: Vocabulary
    auxiliary: Auxiliary | None

    def __call__(self, text: str) -> tuple[list[int], Any]:
        """Tokens without the end symbol, and the auxiliary's target."""
        return self.vocabulary.encode(text), None if self.auxiliary is None else self.auxiliary.target(text)


class A2wTask:
    """A :class:`sertools.training.task.Task`: attention, with or without a second objective; WER on dev.

    Raises:
        UserError: the network does not take what the features are.
    """

    def __init__(
        self, config: A2wConfig, vocabulary: Vocabulary, auxiliary: Auxiliary | None, train: Reader, dev: Reader, *,
        seed: int, device: str, group: Group = SINGLE,
    ) -> None:  # fmt: skip
        torch.manual_seed(seed)
        if config.model.feature_dim != train.feature_dim:
            raise UserError(f"model.feature_dim is {config.model.feature_dim}, but the cuts have {train.feature_dim}")
        self.config = config
        self.vocabulary = vocabulary
        self.auxiliary = auxiliary
        self.train = train
        self.seed = seed
        self.device = torch.device(device)
        self.dtype = check_precision(config.precision, device)
        self.group = group
        self.targets = Targets(vocabulary, auxiliary)
        self.model = A2wModel(config.model, len(vocabulary), 0 if auxiliary is None else auxiliary.num_outputs)
        self.model.set_input_statistics(*sample_statistics(train))
        self.model.to(device)
        self.dev = batches_in_order(dev, self.targets, config.data.batch_frames, group.rank, group.size)
        self.references = [vocabulary.normalise(entry.text) for entry in dev.entries]
        self.sampling = self.guide = 0.0
        self._impossible = self._utterances = 0
        self._num_batches: dict[int, int] = {}

    def _batches(self, epoch: int) -> Batches:
        data, split = self.config.data, self.group.split
        max_shift = self.config.model.stack - 1
        if epoch > data.sorted_epochs:
            return epoch_batches(self.train, self.targets, data, max_shift, self.seed, epoch, split)
        plan = plan_batches([entry.frames for entry in self.train.entries], data.batch_frames, None)
        return Batches(self.train, plan, self.targets, max_shift=max_shift if data.frame_shift else 0,
                       seed=(self.seed, epoch), split=split)  # fmt: skip

    def num_batches(self, epoch: int) -> int:
        """Batches of an epoch."""
        if epoch not in self._num_batches:
            self._num_batches[epoch] = len(self._batches(epoch))
        return self._num_batches[epoch]

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """Batches of an epoch from one on; logs speed and what the second objective could not use."""
        self._impossible = self._utterances = 0
        pin = self.device.type == "cuda"
        yield from timed(self._batches(epoch), epoch, start, self.config.data.workers, pin, self.group)
        impossible, utterances = map(int, self.group.totals(self._impossible, self._utterances))
        if impossible and impossible == utterances:
            raise UserError(
                f"not one of {utterances} utterances has a path for auxiliary: {self.config.auxiliary}: look whether "
                "the cuts and --lang (and --graphs) belong together, or set auxiliary: none"
            )
        if impossible:
            log.info("epoch %d: %d of %d utterances have no path for auxiliary: %s (no words, or too short for them)",
                     epoch, impossible, utterances, self.config.auxiliary)  # fmt: skip

    def before_step(self, progress: float) -> None:
        """Follow the schedules."""
        self.sampling = piecewise_linear(str(self.config.sampling), progress)
        self.guide = piecewise_linear(str(self.config.guide), progress)

    def after_step(self, step: int) -> None:
        """Nothing is done to the weights."""

    def _encode(self, batch: Batch) -> Encoding:
        features = batch.features.to(self.device, non_blocking=True)
        return encode(self.model, features, batch.lengths, self.dtype if self.model.training else torch.float32)

    def _second(self, encoding: Encoding, batch: Batch) -> tuple[Value, Tensor]:
        """The second objective, and the sum of its losses."""
        assert self.auxiliary is not None
        scores = self.model.auxiliary_scores(encoding)
        value = self.auxiliary(scores, encoding.lengths, [target for _, target in batch.targets])
        total = value.loss * value.frames
        # where no utterance is possible: no gradient, through all that has one
        return value, total if total.requires_grad or not scores.requires_grad else 0.0 * scores.sum()

    def loss(self, batch: Batch) -> tuple[Tensor, float]:
        """Mean loss of a batch, and its weight."""
        if self.group.size > 1:
            set_share(self.model, self.group.share(batch.part))
        config = self.config
        encoding = self._encode(batch)
        tokens = [found for found, _ in batch.targets]
        decoded = teach(self.model, encoding, tokens, self.sampling, config.token_dropout, batch.part)
        loss, weight = loss_of_outputs(self.model, decoded, tokens, smoothing=config.smoothing,
                                       normalise=config.normalise, chunk=config.chunk)  # fmt: skip
        if self.guide > 0:
            far = off_diagonal(decoded, tokens, encoding.lengths, config.guide_width)
            if config.normalise == "utterance":
                far = far / torch.tensor([len(one) + 1 for one in tokens], device=far.device)
            loss = loss + self.guide * far.sum()
        if self.auxiliary is not None:
            value, other = self._second(encoding, batch)
            loss = (1 - config.auxiliary_weight) * loss + config.auxiliary_weight * other
            if batch.counts:
                self._impossible += value.impossible
                self._utterances += len(batch.indices)
        return loss / weight, weight if batch.counts else 0.0

    def evaluate(self) -> dict[str, float]:
        """Scores of all of dev.

        ``dev_loss``: cross-entropy in nats a token, without smoothing; ``dev_token_error``: how many
        tokens are not the most probable ones after the reference's, in percent; ``dev_wer`` in percent;
        ``dev_auxiliary``: the second objective's loss an output frame.
        """
        shares = self.group.gather([self._evaluate(batch) for batch in self.dev.load(0, 0, False)])
        # added up in the order of the batches, however many processes there are
        batches = [found for together in itertools.zip_longest(*shares) for found in together if found is not None]
        sums = {name: sum(found[name] for found in batches) for name in batches[0]}
        tokens, words = max(sums["tokens"], 1), max(sums["words"], 1)
        scores = {
            "dev_loss": sums["loss"] / tokens,
            "dev_token_error": 100.0 * sums["wrong_tokens"] / tokens,
            "dev_wer": 100.0 * sums["errors"] / words,
        }
        if self.auxiliary is not None:
            scores["dev_auxiliary"] = sums["auxiliary"] / max(sums["frames"], 1)
        return scores

    def _evaluate(self, batch: Batch) -> dict[str, float]:
        """Sums over a batch."""
        encoding = self._encode(batch)
        tokens = [found for found, _ in batch.targets]
        decoded = teach(self.model, encoding, tokens)
        loss, count = loss_of_outputs(self.model, decoded, tokens, smoothing=0.0, chunk=self.config.chunk)
        sums = {"loss": float(loss), "tokens": count, "wrong_tokens": wrong_tokens(self.model, decoded, tokens)}
        sums |= {"errors": 0, "words": 0, "auxiliary": 0.0, "frames": 0}
        for index, hypotheses in zip(
            batch.indices, beam_search(self.model, encoding, self.config.dev_search), strict=True
        ):
            reference = spoken(self.references[index])
            found = count_errors(reference, spoken(self.vocabulary.words(hypotheses[0].tokens)))
            sums["errors"] += found.total
            sums["words"] += len(reference)
        if self.auxiliary is not None:
            value, total = self._second(encoding, batch)
            sums |= {"auxiliary": float(total), "frames": value.frames}
        return sums


def wrong_tokens(model: A2wModel, decoded: Decoded, tokens: Sequence[Sequence[int]]) -> int:
    """How many of the reference's tokens (end symbols among them) are not the most probable ones."""
    padded, lengths = pad_tokens(tokens)
    counted = torch.arange(padded.shape[1]) < lengths[:, None]
    outputs, wanted = decoded.outputs[counted.to(decoded.outputs.device)], padded[counted]
    pieces = zip(outputs.split(CHUNK), wanted.split(CHUNK), strict=True)
    return sum(int((model.log_probabilities(one).argmax(-1).cpu() != own).sum()) for one, own in pieces)
