"""Utterances with their words, and the batches that S4's systems take from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lhotse.cut import Cut
from torch import Tensor

from sertools.data.batching import Part, plan_batches, plan_by_number
from sertools.decoding.transcripts import read_transcripts
from sertools.emotion.data import check_all_found
from sertools.emotion.joint_asr.config import DataConfig, S4Config
from sertools.errors import UserError
from sertools.features.access import join_cuts
from sertools.features.records import check_archive
from sertools.lang.text import TextConfig, is_event, to_words

TEXT = TextConfig(lower_case=True, drop_punctuation=True)
"""How references become words: transcripts of emotion corpora have punctuation, those of recognisers none."""


@dataclass(frozen=True)
class Spoken:
    """One utterance.

    Attributes:
        id: as in folds and predictions.
        speaker, corpus: who speaks, and where it is from.
        label: index of its class, or its value.
        frames: number of them.
        features: float32 (frames, F); (0, F) if the system reads none.
        words: what was said, marks such as [laughter] among it.
        recognised: what a recogniser made of it (transcripts.csv); None if that is not read.
    """

    id: str
    speaker: str
    corpus: str
    label: int | float
    frames: int
    features: Tensor
    words: tuple[str, ...] = ()
    recognised: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Batch:
    """Some utterances, and the part of each that is heard.

    Attributes:
        utterances: in the order of the rows.
        audio: float32 (N, T, F), padded with zeros.
        lengths: int64 (N,), of ``audio``.
        part: which utterances of a larger batch these are; None: all.
    """

    utterances: tuple[Spoken, ...]
    audio: Tensor
    lengths: Tensor
    part: Part | None = None

    @property
    def labels(self) -> Tensor:
        """(N,), int64 classes or float32 values."""
        return torch.tensor([utterance.label for utterance in self.utterances])


def load_spoken(
    cuts: Sequence[Path],
    labels: Mapping[str, int | float],
    config: S4Config,
    transcripts: Path | None = None,
    text: TextConfig = TEXT,
) -> dict[str, Spoken]:
    """Read labelled utterances.

    Args:
        cuts: manifests with filter banks, from the feature stage; several are joined.
        labels: utterance id to index of class, or value.
        config: says what is read.
        transcripts: table of recognised words, if ``config`` needs one.
        text: how references become words.

    Raises:
        UserError: an utterance is not in the cuts or in the table, has no features or no transcript.
    """
    where = ", ".join(map(str, cuts))
    found = {cut.id: _load(cut, labels[cut.id], config, text, where) for cut in join_cuts(cuts) if cut.id in labels}
    check_all_found(labels, found, where, cuts)
    if transcripts is None or not config.uses_transcripts:
        return found
    recognised = {one.id: one.hypothesis for one in read_transcripts(transcripts)}
    missing = [name for name in found if name not in recognised]
    if missing:
        raise UserError(
            f"{transcripts} lacks {len(missing)} of the utterances of the folds (the first: {missing[0]}); it must be "
            "of the whole corpus: run the stage that recognises it again"
        )
    return {name: replace(one, recognised=recognised[name]) for name, one in found.items()}


def _load(cut: Cut, label: int | float, config: S4Config, text: TextConfig, where: str) -> Spoken:
    supervision = cut.supervisions[0]
    needs_words = config.reads_words or config.reads_states
    if supervision.text is None and needs_words:
        raise UserError(f"{where}: {cut.id} has no transcript; prepare the corpus with local/prepare_corpus.py")
    if not cut.has_features:
        raise UserError(f"{where}: {cut.id} has no features; run the feature stage again")
    if cut.num_features != config.model.feature_dim:
        raise UserError(
            f"{where} has features of dimension {cut.num_features}, the network takes {config.model.feature_dim} "
            "(model.feature_dim); give the cuts of the filter-bank stage"
        )
    read = config.reads_audio or config.reads_states
    if read:
        check_archive(cut.features.storage_path)
    features = torch.from_numpy(cut.load_features()).float() if read else torch.zeros(0, cut.num_features)
    words = to_words(supervision.text, text) if needs_words else []
    if config.words.keep_events:
        words = events_as_words(words)
    corpus = str((supervision.custom or {}).get("corpus", "unknown"))
    return Spoken(cut.id, str(supervision.speaker), corpus, label, cut.num_frames, features, tuple(words))


def events_as_words(words: Sequence[str]) -> list[str]:
    """Words with each mark such as [laughter] as what stands in its brackets."""
    return [inner for word in words for inner in (word[1:-1].split("_") if is_event(word) else [word])]


def plan(utterances: Sequence[Spoken], batch_size: int, generator: torch.Generator | None) -> list[list[int]]:
    """Batches of utterances of similar length, see :func:`sertools.data.batching.plan_by_number`."""
    return plan_by_number([one.frames for one in utterances], batch_size, generator)


def collate(
    utterances: Sequence[Spoken],
    config: DataConfig,
    generator: torch.Generator | None = None,
    part: Part | None = None,
) -> Batch:
    """Make a batch.

    Args:
        utterances: at least one.
        config: how long they may be.
        generator: places the stretch of a longer utterance if ``config.crop`` is random; None: the first.
        part: which of them become the batch, None for all; what is random does not depend on it.
    """
    heard = []
    for one in utterances:
        start, length = 0, len(one.features)
        if 0 < config.max_frames < length:
            if generator is not None and config.crop == "random":
                start = int(torch.randint(length - config.max_frames + 1, (1,), generator=generator))
            length = config.max_frames
        heard.append(one.features[start : start + length])
    if part is not None:
        utterances, heard = utterances[part.rows], heard[part.rows]
    return Batch(
        utterances=tuple(utterances),
        audio=torch.nn.utils.rnn.pad_sequence(heard, batch_first=True),
        lengths=torch.tensor([len(x) for x in heard]),
        part=part,
    )


def batches_in_order(utterances: Sequence[Spoken], config: DataConfig) -> Iterator[Batch]:
    """All utterances by length, the first stretch of each, for evaluation and prediction."""
    for indices in plan(utterances, config.batch_size, None):
        yield collate([utterances[i] for i in indices], config)


def whole_in_order(utterances: Sequence[Spoken], batch_frames: int) -> Iterator[list[Spoken]]:
    """All utterances by length, in groups of at most so many frames, padding included."""
    for indices in plan_batches([one.frames for one in utterances], batch_frames, None):
        yield [utterances[i] for i in indices]


def whole(utterances: Sequence[Spoken]) -> tuple[Tensor, Tensor]:
    """All frames of some utterances: float32 (N, T, F), padded with zeros, and int64 (N,)."""
    rows = [one.features for one in utterances]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(x) for x in rows])
