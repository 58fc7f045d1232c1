"""The system that learns from transcribed speech: a TDNN-F with LF-MMI (or CTC), flat start."""

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from sertools.asr.auxiliary import Auxiliary, AuxiliaryConfig
from sertools.asr.graphs import Graphs, unpack
from sertools.asr.objectives import CtcObjective, LfmmiObjective, Objective
from sertools.config import to_dict
from sertools.data.reader import Reader
from sertools.data.statistics import sample_covariance, sample_statistics
from sertools.data.transcribed import Batch, Batches, DataConfig, batches_in_order, epoch_batches, timed
from sertools.decoding.greedy import greedy_phones, phone_errors
from sertools.decoding.viterbi import PhoneDecoder
from sertools.errors import UserError
from sertools.lang.lexicon import Lexicon
from sertools.lfmmi import LfmmiConfig
from sertools.models.asr import AcousticModel, AcousticModelConfig
from sertools.models.layers import semi_orthogonal_step, set_dropout, set_share
from sertools.training.distributed import SINGLE, Group
from sertools.training.loop import TrainingConfig
from sertools.training.precision import Precision, check_precision
from sertools.training.schedule import check_schedule, piecewise_linear

log = logging.getLogger(__name__)

AUXILIARY = "auxiliary"
"""Classes of each head besides words, in a checkpoint's info, if it has any."""


@dataclass(frozen=True)
class AsrConfig:
    """``conf/tdnnf.yaml``: a whole system.

    Attributes:
        model: the network.
        loss: lfmmi, or ctc for comparison.
        lfmmi: options of that loss.
        data: batches.
        training: the loop.
        input_transform: the fixed transform before the first layer: ``variance`` gives each feature
            mean 0 and variance 1, ``white`` also takes away their correlation.
        dropout: Kaldi schedule of the dropout proportion over training.
        orthonormal_every: the semi-orthogonal constraint is applied every so many updates
            (Kaldi: each with probability 1/4); 0 for never.
        xent_learning_rate_factor: of the second head's layers.  Kaldi's 0.5 / xent_regularize makes
            up for the small weight of its objective; Adam's steps do not depend on that weight.
        precision: of activations; weights, statistics and losses are in float32.
        auxiliary: heads for speakers or other classes of whole utterances, which learn with the words; None for none.
    """

    model: AcousticModelConfig = field(default_factory=AcousticModelConfig)
    loss: Literal["lfmmi", "ctc"] = "lfmmi"
    lfmmi: LfmmiConfig = field(default_factory=LfmmiConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(select_by="dev_per"))
    input_transform: Literal["variance", "white"] = "variance"
    dropout: str | float = "0,0@0.20,0.5@0.50,0"
    orthonormal_every: int = 4
    xent_learning_rate_factor: float = 1.0
    precision: Precision = "float32"
    auxiliary: AuxiliaryConfig | None = None

    def __post_init__(self) -> None:
        check_schedule("dropout", self.dropout)

    @property
    def xent(self) -> bool:
        """Whether there is a second head."""
        return self.loss == "lfmmi" and self.lfmmi.xent_regularize > 0


def recorded(config: AsrConfig) -> dict[str, Any]:
    """A configuration as stamps and checkpoints have it: one without auxiliary heads as before there were any."""
    values = to_dict(config)
    if config.auxiliary is None:
        del values[AUXILIARY]
    return values


def make_model(config: AsrConfig, num_outputs: int, num_auxiliary: int = 0) -> AcousticModel:
    """The network of a system, with random weights."""
    model = AcousticModel(config.model, num_outputs, config.xent, num_auxiliary)
    if model.xent is not None:
        model.xent.learning_rate_factor = config.xent_learning_rate_factor
    model.set_activation_dtype(getattr(torch, config.precision))
    return model


def make_objective(config: AsrConfig, graphs: Graphs, lexicon: Lexicon) -> Objective:
    """The loss of a system.

    Raises:
        UserError: graphs and lexicon, or loss and topology, do not go together.
    """
    if config.loss == "ctc":
        return CtcObjective(graphs.topology, graphs.phones, lexicon)
    return LfmmiObjective(graphs, lexicon, config.lfmmi)


class AsrTask:
    """A :class:`sertools.training.task.Task`: LF-MMI or CTC, scored by phone error rate on dev.

    With ``auxiliary`` classes of the utterances are learnt along; they are those of ``config.auxiliary``.

    Raises:
        UserError: the network does not take what the features are, or the device has no bfloat16.
    """

    def __init__(
        self, config: AsrConfig, graphs: Graphs, lexicon: Lexicon, train: Reader, dev: Reader, *,
        seed: int, device: str, group: Group = SINGLE, auxiliary: Auxiliary | None = None,
    ) -> None:  # fmt: skip
        torch.manual_seed(seed)
        self.config = config
        self.auxiliary = auxiliary
        self.graphs = graphs
        self.lexicon = lexicon
        self.train = train
        self.seed = seed
        self.device = torch.device(device)
        self.group = group
        self.objective = make_objective(config, graphs, lexicon)
        self.model = make_model(config, graphs.topology.num_pdfs, 0 if auxiliary is None else auxiliary.num_outputs)
        check_dimensions(config, train)
        check_precision(config.precision, device)
        if config.input_transform == "white":
            self.model.trunk.set_input_covariance(*sample_covariance(train, config.model.trunk.splice))
        else:
            self.model.trunk.set_input_statistics(*sample_statistics(train))
        self.model.to(device)
        self.dev = batches_in_order(dev, self.objective.target, config.data.batch_frames, group.rank, group.size)
        self.decoder = PhoneDecoder(graphs.denominator, graphs.topology).to(self.device)
        self.references = [_spoken(lexicon, entry.text) for entry in dev.entries]
        self._impossible = self._utterances = 0
        self._num_batches: dict[int, int] = {}

    def _batches(self, epoch: int) -> Batches:
        max_shift = self.config.model.trunk.subsampling - 1
        return epoch_batches(self.train, self.objective.target, self.config.data, max_shift, self.seed, epoch,
                             self.group.split)  # fmt: skip

    def num_batches(self, epoch: int) -> int:
        """Batches of an epoch."""
        if epoch not in self._num_batches:
            self._num_batches[epoch] = len(self._batches(epoch))
        return self._num_batches[epoch]

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """Batches of an epoch from one on; logs speed and what the loss could not use."""
        self._impossible = self._utterances = 0
        pin = self.device.type == "cuda"
        yield from timed(self._batches(epoch), epoch, start, self.config.data.workers, pin, self.group)
        impossible, utterances = map(int, self.group.totals(self._impossible, self._utterances))
        if impossible and impossible == utterances:
            raise UserError(
                f"not one of {utterances} utterances has a path through the graphs: all are too short for their text, "
                "or unknown to the phone language model; look whether the cuts, --lang and --graphs belong together"
            )
        if impossible:
            log.info("epoch %d: %d of %d utterances have no path through the graphs (too short for their text, "
                     "or unknown to the phone language model) and taught nothing", epoch, impossible,
                     utterances)  # fmt: skip

    def before_step(self, progress: float) -> None:
        """Follow the schedules."""
        set_dropout(self.model, piecewise_linear(str(self.config.dropout), progress))

    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """Scores of both heads, of the auxiliary ones, and output frames; see AcousticModel."""

        def there(x: Tensor) -> Tensor:
            return x.to(self.device, non_blocking=True)

        ivectors = None if batch.ivectors is None else there(batch.ivectors)
        hidden, lengths = self.model.embed(there(batch.features), batch.lengths, ivectors)
        scores, other = self.model.scores(hidden, lengths, xent=self.config.xent)
        return scores, other, self.model.auxiliary_scores(hidden, lengths), lengths

    def loss(self, batch: Batch) -> tuple[Tensor, float]:
        """Mean loss of a batch, and its weight."""
        if self.group.size > 1:
            set_share(self.model, self.group.share(batch.part))
        scores, xent, classes, lengths = self._forward(batch)
        value = self.objective(scores, xent, lengths, batch.targets)
        if batch.counts:
            self._impossible += value.impossible
            self._utterances += len(batch.indices)
        if not value.loss.requires_grad:
            # no utterance is possible: an update without gradient, through all that has one
            nothing = 0.0 * (scores.sum() + classes.sum())
            return nothing if xent is None else nothing + 0.0 * xent.sum(), 0.0
        loss = value.loss
        if self.auxiliary is not None:
            labels = [self.auxiliary.train[self.train.entries[index].id] for index in batch.indices]
            loss = loss + self.auxiliary.loss(classes, labels, lengths, value.possible)
        return loss, float(value.frames) if batch.counts else 0.0

    def working_bytes(self, batch: Batch) -> int:
        """Of LF-MMI; see :class:`sertools.training.footprint.Working`."""
        if not isinstance(self.objective, LfmmiObjective):
            return 0
        frames = int(self.model.trunk.output_lengths(batch.lengths).max())
        return self.objective.lfmmi.working_bytes(
            len(batch.lengths), frames, self.graphs.topology.num_pdfs, self.device.type,
            max((graph.num_states for graph in map(unpack, batch.targets) if graph is not None), default=0),
        )  # fmt: skip

    def after_step(self, step: int) -> None:
        """The semi-orthogonal constraint."""
        if self.config.orthonormal_every and step % self.config.orthonormal_every == 0:
            semi_orthogonal_step(self.model)

    def evaluate(self) -> dict[str, float]:
        """Loss and its parts per output frame, and the phone error rate, all of dev.

        Keys ``dev_loss``, ``dev_objective`` and so on, ``dev_per`` (in percent, against the most
        probable pronunciations, silence left out; LF-MMI: of the best path through the
        denominator graph, CTC: of the best output of each frame).  What auxiliary heads recognise is not
        in dev_loss, but in ``dev_speaker_ua`` and the like, see Auxiliary.dev_scores.
        """
        shares = self.group.gather([self._evaluate(batch) for batch in self.dev.load(0, 0, False)])
        # added up in the order of the batches, however many processes there are
        rounds = itertools.zip_longest(*shares)
        batches = [found for together in rounds for found in together if found is not None]
        sums = {name: sum(found[name] for found in batches) for name in batches[0]}
        heads = {} if self.auxiliary is None else self.auxiliary.dev_scores(sums.pop("hits"))
        frames, errors, phones, impossible = (sums.pop(name) for name in ("frames", "errors", "phones", "impossible"))
        if impossible:
            log.info("dev: %d of %d utterances have no path and are not in dev_loss (but in dev_per)", impossible,
                     len(self.references))  # fmt: skip
        scores_of_dev = {f"dev_{name}": value / max(frames, 1) for name, value in sums.items()}
        return scores_of_dev | {"dev_per": 100.0 * errors / max(phones, 1)} | heads

    def _evaluate(self, batch: Batch) -> dict[str, Any]:
        """Sums over a batch's frames of loss and parts; frames, errors, phones, impossible utterances.

        With auxiliary heads ``hits``, too, see Auxiliary.hits.
        """
        scores, xent, classes, lengths = self._forward(batch)
        value = self.objective(scores, xent, lengths, batch.targets)
        sums: dict[str, Any] = {
            name: float(part) * value.frames for name, part in {"loss": value.loss, **value.parts}.items()
        }
        sums |= {"frames": value.frames, "errors": 0, "phones": 0, "impossible": value.impossible}
        for index, found in zip(batch.indices, self._decode(scores, lengths), strict=True):
            wrong, spoken = phone_errors(self.references[index], found, self.lexicon.silence)
            sums["errors"] += wrong
            sums["phones"] += spoken
        if self.auxiliary is not None:
            labels = [self.auxiliary.dev[self.dev.reader.entries[index].id] for index in batch.indices]
            sums["hits"] = self.auxiliary.hits(classes, labels)
        return sums

    def _decode(self, scores: Tensor, lengths: Tensor) -> list[list[int]]:
        if self.config.loss == "lfmmi":
            return self.decoder(scores, lengths)
        return [greedy_phones(row[:length], self.graphs.topology)
                for row, length in zip(scores, lengths.tolist(), strict=True)]  # fmt: skip


def _spoken(lexicon: Lexicon, text: str) -> list[int]:
    return [phone for phone in lexicon.text_to_phones(text) if phone != lexicon.silence]


def check_dimensions(config: AsrConfig, reader: Reader) -> None:
    """Whether the network takes what the features are.

    Raises:
        UserError: it does not.
    """
    trunk = config.model.trunk
    for name, wanted, found in (
        ("feature_dim", trunk.feature_dim, reader.feature_dim),
        ("ivector_dim", trunk.ivector_dim, reader.ivector_dim),
    ):
        if wanted != found:
            raise UserError(f"model.trunk.{name} is {wanted}, but the cuts have {found}")
