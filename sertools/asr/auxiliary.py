"""Classes of whole utterances that an acoustic model learns beside words: speakers, genders, any field of a manifest.

Multi-task learning (Caruana 1997): softmaxes on one trunk, each on the mean and standard deviation over time of what
the trunk gives, as x-vectors pool frames (Snyder et al. 2018, "X-vectors").
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lhotse.cut import Cut
from torch import Tensor

from sertools.errors import UserError
from sertools.manifests import read_cuts
from sertools.partitions.labelling import value_of

log = logging.getLogger(__name__)

UNKNOWN = -1
Rows = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class AuxiliaryConfig:
    """Heads beside that of the words.

    Attributes:
        fields: of the supervisions: speaker, gender, language, or a custom field; a head each.
        weight: of each head's cross-entropy, which counts for every output frame of its utterance.
    """

    fields: tuple[str, ...]
    weight: float = 0.1

    def __post_init__(self) -> None:
        if not self.fields or len(set(self.fields)) < len(self.fields):
            raise ValueError(f"fields must be one or more different fields, not {list(self.fields)}")
        if self.weight <= 0:
            raise ValueError("weight must be above 0; without auxiliary: there are no heads")


@dataclass(frozen=True)
class Auxiliary:
    """The heads of a training, and the classes of its utterances.

    Attributes:
        weight: see :class:`AuxiliaryConfig`.
        classes: field to its classes, in the order of its outputs, those of the first field first.
        train, dev: utterance to the number of its class in each field, or UNKNOWN.
    """

    weight: float
    classes: dict[str, tuple[str, ...]]
    train: Rows
    dev: Rows

    @property
    def num_outputs(self) -> int:
        """Of all heads."""
        return sum(map(len, self.classes.values()))

    def loss(self, scores: Tensor, labels: Sequence[tuple[int, ...]], lengths: Tensor, possible: Tensor) -> Tensor:
        """What the heads add to the mean loss of an output frame.

        The sum over utterances of frames times the cross-entropies of the heads that know the utterance's class, by
        the frames of all, times the weight.  So parts of a batch, weighted by their frames, add up to the whole.

        Args:
            scores: (N, num_outputs), before the softmaxes.
            labels: of N utterances, as in ``train``.
            lengths: int64 (N,), output frames.
            possible: bool (N,): which utterances count.
        """
        frames = lengths.cpu().masked_fill(~possible.cpu(), 0)
        shares = (frames.double() / frames.sum().clamp(min=1)).to(scores, non_blocking=True)
        wanted = torch.tensor(labels).to(scores.device, non_blocking=True)
        losses = [
            F.cross_entropy(own, column, ignore_index=UNKNOWN, reduction="none")
            for own, column in zip(self._heads(scores), wanted.unbind(1), strict=True)
        ]
        return self.weight * (torch.stack(losses).sum(0) * shares).sum()

    def hits(self, scores: Tensor, labels: Sequence[tuple[int, ...]]) -> np.ndarray[Any, Any]:
        """Utterances of each class of each head, and those of them that it recognises: int64 (2, num_outputs).

        Args: see :meth:`loss`.
        """
        counts = []
        for own, column in zip(self._heads(scores.cpu()), torch.tensor(labels).unbind(1), strict=True):
            known = column != UNKNOWN
            right = known & (own.argmax(1) == column)
            counts.append(np.stack([np.bincount(column[rows], minlength=own.shape[1]) for rows in (known, right)]))
        return np.concatenate(counts, 1)

    def dev_scores(self, hits: np.ndarray[Any, Any]) -> dict[str, float]:
        """``dev_FIELD_ua`` (mean recall of the classes that are there), ``dev_FIELD_wa`` (of utterances), 0 to 1.

        A head that knows the class of no utterance has none.

        Args:
            hits: sum of what :meth:`hits` gives.
        """
        scores, first = {}, 0
        for field, names in self.classes.items():
            own = hits[:, first : first + len(names)]
            of, right = own[:, own[0] > 0]
            if of.size:
                scores[f"dev_{field}_ua"] = float((right / of).mean())
                scores[f"dev_{field}_wa"] = float(right.sum() / of.sum())
            first += len(names)
        return scores

    def _heads(self, scores: Tensor) -> Sequence[Tensor]:
        return scores.split([len(names) for names in self.classes.values()], 1)


def read_auxiliary(config: AuxiliaryConfig, cuts_path: Path, dev_path: Path) -> Auxiliary:
    """The classes of a training manifest, sorted, and those of all its and the dev manifest's utterances.

    Raises:
        UserError: fewer than two classes of a field.
    """
    train = {cut.id: _values(cut, config.fields) for cut in read_cuts(cuts_path)}
    dev = {cut.id: _values(cut, config.fields) for cut in read_cuts(dev_path)}
    classes = {}
    for field, column in zip(config.fields, zip(*train.values(), strict=True), strict=True):
        names = tuple(sorted({name for name in column if name is not None}))
        if len(names) < 2:
            found = f"one {field} alone, '{names[0]}'" if names else f"no {field}"
            raise UserError(
                f"auxiliary.fields: the supervisions of {cuts_path} have {found}, and a head needs two classes to tell "
                f"apart; leave {field} out of auxiliary.fields, or give other cuts"
            )
        classes[field] = names
    made = Auxiliary(config.weight, classes, _numbered(train, classes), _numbered(dev, classes))
    for number, (field, names) in enumerate(classes.items()):
        known = [sum(row[number] != UNKNOWN for row in rows.values()) for rows in (made.train, made.dev)]
        log.info("auxiliary %s: %d classes; known of %d of %d utterances, and of %d of %d of dev", field, len(names),
                 known[0], len(train), known[1], len(dev))  # fmt: skip
        if not known[1]:
            log.info("no utterance of dev is of a %s of the training cuts: there is no dev_%s_ua", field, field)
    return made


def _values(cut: Cut, fields: Sequence[str]) -> tuple[str | None, ...]:
    """The value of each field; None where there is none, or where the cut's supervisions have several."""

    def found() -> Iterator[str | None]:
        for field in fields:
            values = {value_of(one, field) for one in cut.supervisions} - {None}
            yield str(values.pop()) if len(values) == 1 else None

    return tuple(found())


def _numbered(values: Mapping[str, tuple[str | None, ...]], classes: Mapping[str, tuple[str, ...]]) -> Rows:
    numbers = [{name: number for number, name in enumerate(names)} for names in classes.values()]
    return {
        name: tuple(known.get(value, UNKNOWN) if value is not None else UNKNOWN
                    for known, value in zip(numbers, row, strict=True))
        for name, row in values.items()
    }  # fmt: skip
