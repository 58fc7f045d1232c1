"""Training of a Cnn14: what is drawn, the loss, scores and layer-wise distances of every epoch."""

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sertools.data.statistics import mean_and_deviation
from sertools.data.weights import balanced_weights
from sertools.emotion.cnn14.batches import Spectra, crops, whole
from sertools.emotion.cnn14.config import Cnn14SystemConfig
from sertools.emotion.cnn14.start import Start, make_network
from sertools.emotion.data import StoredUtterance, Utterance
from sertools.emotion.objective import Objective
from sertools.errors import UserError
from sertools.models.cnn14 import Cnn14
from sertools.models.emotion import weights_of
from sertools.models.layer_distance import layer_distances
from sertools.partitions.target import Target
from sertools.runs.folder import DISTANCE_KEY, TEST_KEY
from sertools.training.ahead import Ahead
from sertools.training.distributed import Group


class Cnn14Task:
    """See :class:`sertools.training.task.Task`.

    Args:
        config: of the system.
        target: what is predicted.
        train, dev: utterances.
        seed: of initialisation, batches and stretches.
        device: where to compute.
        start: weights to start from; None for random ones.
        group: of one process.

    Raises:
        UserError: several processes; class weights or a loss that do not go with the target; a start that does
            not fit.
    """

    def __init__(
        self, config: Cnn14SystemConfig, target: Target, train: Sequence[Utterance], dev: Sequence[Utterance], *,
        seed: int, device: str, start: Start | None, group: Group,
    ) -> None:  # fmt: skip
        if group.size > 1:
            raise UserError("Cnn14's batch norm is of whole batches: start it without --tasks-per-node and --nodes")
        self.config, self.target, self.seed, self.device = config, target, seed, device
        self.train, self.dev = train, dev
        self.objective = Objective.of(target, config.loss)
        self.class_weights: Tensor | None = None
        if config.data.class_weights == "inverse":
            if target.kind == "number":
                raise UserError(f"data.class_weights: inverse: the target {target.name} has no classes; set none")
            amounts = ((int(u.label), 1.0) for u in train)
            self.class_weights = balanced_weights(amounts, target.num_outputs).to(device)
        torch.manual_seed(seed)
        model = make_network(config, target, start)
        if target.kind == "number":
            _to_scale(model, train)
        self.model = model.to(device)
        self.start = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
        self.test: Sequence[Utterance] = ()

    def watch(self, test: Sequence[Utterance]) -> None:
        """Score these, too, at every epoch; see :class:`sertools.emotion.system.Watching`."""
        self.test = test

    def _plan(self, epoch: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed((self.seed * 100003 + epoch) * 2)
        order = torch.randperm(len(self.train), generator=generator).tolist()
        size = self.config.data.batch_size
        return [order[i : i + size] for i in range(0, len(order), size)]

    def num_batches(self, epoch: int) -> int:
        """Batches of an epoch."""
        return -(-len(self.train) // self.config.data.batch_size)

    def batches(self, epoch: int, start: int) -> Iterator[Spectra]:
        """The batches of an epoch from one on; read ahead if they are on disk."""
        made = self._batches(epoch, start)
        return Ahead(made, lambda batch: batch) if isinstance(self.train[0], StoredUtterance) else made

    def _batches(self, epoch: int, start: int) -> Iterator[Spectra]:
        for number, indices in enumerate(self._plan(epoch)):
            if number >= start:
                # a generator a batch: where the stretches lie does not depend on where one starts
                of_batch = torch.Generator().manual_seed(((self.seed * 100003 + epoch) * 1000003 + number) * 2 + 1)
                yield crops([self.train[i] for i in indices], self.config.data.crop_frames, of_batch)

    def before_step(self, progress: float) -> None:
        """Nothing."""

    def loss(self, batch: Spectra) -> tuple[Tensor, float]:
        """Mean loss of utterances, of classes weighted (as torch's), and the sum of the weights."""
        outputs = self.model(batch.features.to(self.device, non_blocking=True))
        labels = self.objective.labels([u.label for u in batch.utterances]).to(self.device, non_blocking=True)
        if self.class_weights is None:
            return self.objective.of_utterances(outputs, labels), float(len(labels))
        weights = weights_of(labels, self.class_weights)
        losses = self.objective.of_rows(F.log_softmax(outputs, -1), labels)
        return (losses * weights).sum() / weights.sum(), float(weights.sum())

    def after_step(self, step: int) -> None:
        """Nothing."""

    def about(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def evaluate(self) -> dict[str, float]:
        """Scores of dev, and of test if it is watched; how far each tensor is from its start.

        A tensor that starts as zeros has no direction, and no distance.
        """
        scores = self._scores(self.dev)
        if self.test:
            scores |= {name.replace("dev_", TEST_KEY): value for name, value in self._scores(self.test).items()}
        now = {name: value.detach().cpu() for name, value in self.model.state_dict().items()}
        found = layer_distances(self.start, now)
        return scores | {f"{DISTANCE_KEY}{one.name}": one.distance for one in found if isfinite(one.distance)}

    def _scores(self, utterances: Sequence[Utterance]) -> dict[str, float]:
        order, outputs, loss = predict(self.model, utterances, self.config, self.objective, self.device)
        return self.objective.dev_scores(loss, [utterance.label for utterance in order], outputs)


def _to_scale(model: Cnn14, train: Sequence[Utterance]) -> None:
    """Let random outputs for a number have the mean and spread of the labels."""
    mean, deviation = mean_and_deviation([torch.tensor([[float(u.label)] for u in train])])
    with torch.no_grad():
        model.head.weight.mul_(float(deviation))
        model.head.bias.fill_(float(mean))


@torch.no_grad()
def predict(
    model: Cnn14, utterances: Sequence[Utterance], config: Cnn14SystemConfig, objective: Objective, device: str
) -> tuple[list[Utterance], Tensor, float]:
    """What a network says of whole utterances.

    Returns:
        The utterances in the order of the rows; probabilities (N, C) or values (N,), float64; and the mean loss.
    """
    model.eval()
    order: list[Utterance] = []
    rows = []
    for batch in whole(utterances, config.data.crop_frames, config.data.eval_frames):
        order += batch.utterances
        rows.append(model(batch.features.to(device), batch.lengths).double().cpu())
    outputs = torch.cat(rows)
    labels = objective.labels([utterance.label for utterance in order])
    loss = float(objective.of_utterances(outputs, labels))
    return order, outputs[:, 0] if objective.target.kind == "number" else outputs.softmax(1), loss
