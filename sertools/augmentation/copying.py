"""Copies of a manifest's utterances, each changed by augmentations and written as audio."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from lhotse import Recording, SupervisionSegment
from lhotse.cut import Cut, MonoCut
from lhotse.utils import fastcopy

from sertools.audio.degrading import generator_of
from sertools.augmentation.augmentation import Change, Samples
from sertools.augmentation.fields import COPY, COPY_OF
from sertools.augmentation.registry import AUGMENTATIONS
from sertools.corpora.audio_check import AudioFile, check_audio
from sertools.corpora.audio_write import write_audio
from sertools.corpora.problems import Problem
from sertools.errors import UserError
from sertools.features.audio import load_samples
from sertools.files import json_hash, replacing, sweep

FULL_SCALE = 32767 / 32768
LONGEST_NAME = 200


@dataclass(frozen=True)
class Copy:
    """A copy of every utterance.

    Attributes:
        name: ``speed=0.9`` or ``speed=0.9,noise=10``, each value in its only spelling.
        changes: one after the other.
    """

    name: str
    changes: tuple[Change, ...]

    @property
    def suffix(self) -> str:
        """What is added to the ids of its utterances."""
        return self.name.replace("=", "").replace("..", "-").replace(",", "_")


@dataclass(frozen=True)
class Made:
    """A copy of one utterance.

    Attributes:
        cut: with its recording and its supervision.
        softer: whether it was made softer, for it would have clipped.
    """

    cut: Cut
    softer: bool


def read_copy(text: str) -> Copy:
    """What ``NAME=VALUE``, or several with commas between, stands for.

    Raises:
        ValueError: there is no such augmentation, or it takes no such value.
    """
    names, changes = [], []
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in AUGMENTATIONS:
            raise ValueError(f"'{part}': there are {', '.join(f'{one}=' for one in AUGMENTATIONS)}")
        try:
            setting = AUGMENTATIONS[name].read(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        names.append(f"{name}={setting.value}")
        changes.append(setting.change)
    return Copy(",".join(names), tuple(changes))


def new_ids(cuts: Sequence[Cut], copies: Sequence[Copy]) -> dict[str, str]:
    """Id of every copy to the utterance that it is a copy of.

    Raises:
        UserError: an id is that of an utterance, or of two copies.
    """
    found: dict[str, str] = {}
    known = {cut.id for cut in cuts}
    for cut in cuts:
        for copy in copies:
            name = f"{cut.id}_{copy.suffix}"
            if name in known or name in found:
                whose = "there is a cut of that name" if name in known else f"so would one of {found[name]}"
                raise UserError(f"the copy {copy.name} of {cut.id} would be called {name}, and {whose}: rename one")
            found[name] = cut.id
    return found


def make_copies(
    cuts: Sequence[Cut], copies: Sequence[Copy], directory: Path, *, seed: int = 0, jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Made]:  # fmt: skip
    """Write every copy of every cut, cuts in order, the copies of each one after the other.

    A whole file that is there is kept: what made it is known by its folder's name, which the caller chooses.

    Args:
        cuts: of one recording and one supervision each.
        copies: with different names.
        directory: for the audio, a folder a copy.
        seed: of what is drawn.  An utterance's draws depend on it, the copy and the utterance's id alone.
        jobs: threads; most of the work leaves Python's lock.
        progress: called with how many are done, and of how many.

    Raises:
        UserError: a cut has no audio that features could be made of, or not one supervision; an augmentation cannot be
            applied to it; two ids would be the same.
    """
    new_ids(cuts, copies)
    for copy in copies:
        (directory / copy.suffix).mkdir(parents=True, exist_ok=True)
        sweep(directory / copy.suffix)
    tasks = [(cut, copy) for cut in cuts for copy in copies]
    made: list[Made] = []
    # not processes: they would outlive a parent that is killed, and hold its folder
    pool = ThreadPoolExecutor(max(1, jobs))
    try:
        for result in pool.map(lambda task: _make_copy(task[0], task[1], directory, seed), tasks):
            made.append(result)
            progress(len(made), len(tasks))
    finally:
        pool.shutdown(cancel_futures=True)
    return made


def _make_copy(cut: Cut, copy: Copy, directory: Path, seed: int) -> Made:
    if len(cut.supervisions) != 1:
        raise UserError(f"cut {cut.id} has {len(cut.supervisions)} supervisions; an utterance with one is needed")
    new = f"{cut.id}_{copy.suffix}"
    path = directory / copy.suffix / f"{_file_name(cut.id)}.flac"
    samples, softer = changed(cut, copy, seed)
    found = check_audio(path) if path.exists() else None
    if not isinstance(found, AudioFile) or found.num_samples != len(samples):
        with replacing(path) as temporary:
            write_audio(temporary, samples, int(cut.sampling_rate), "FLAC")
        found = check_audio(path)
    if isinstance(found, Problem):
        raise UserError(f"{path}: {found.reason}; remove it and run this again")
    return Made(_as_cut(cut, new, copy.name, found.recording(new)), softer)


def changed(cut: Cut, copy: Copy, seed: int) -> tuple[Samples, bool]:
    """Samples (N,) of a copy, and whether they were made softer so that they do not clip.

    Raises:
        UserError: features could not be made of this audio either; an augmentation cannot be applied to it.
    """
    samples: Samples = load_samples(cut, int(cut.sampling_rate))[0]
    generator = generator_of(f"{seed} {copy.name} {cut.id}")
    for change in copy.changes:
        try:
            samples = change(samples, int(cut.sampling_rate), generator)
        except ValueError as error:
            raise UserError(f"{copy.name}, {cut.id}: {error}") from error
    peak = float(np.abs(samples).max()) if len(samples) else 0.0
    # what was at full scale already is not made softer
    if peak > 1.0:
        return (samples * (FULL_SCALE / peak)).astype(np.float32), True
    return samples, False


def _as_cut(cut: Cut, new: str, name: str, recording: Recording) -> MonoCut:
    told = cut.supervisions[0]
    ratio = recording.duration / cut.duration
    alignment = {
        kind: [item._replace(start=item.start * ratio, duration=item.duration * ratio) for item in items]
        for kind, items in (told.alignment or {}).items()
    }
    start = max(0.0, told.start * ratio)
    supervision: SupervisionSegment = fastcopy(
        told, id=new, recording_id=new, start=start, duration=min(told.duration * ratio, recording.duration - start),
        channel=0, alignment=alignment or None, custom={**(told.custom or {}), COPY: name, COPY_OF: cut.id},
    )  # fmt: skip
    return MonoCut(
        id=new, start=0.0, duration=recording.duration, channel=0, recording=recording, supervisions=[supervision]
    )


def _file_name(name: str) -> str:
    quoted = quote(name, safe="@+=, ")
    return quoted if len(quoted) <= LONGEST_NAME else json_hash(name)
