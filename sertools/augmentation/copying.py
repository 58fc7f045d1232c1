"""Copies of a manifest's utterances, each changed by augmentations and written as audio."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import numpy as np
from lhotse import Recording, SupervisionSegment
from lhotse.cut import Cut, MonoCut
from lhotse.utils import fastcopy

from sertools.audio.cuts import load_cut
from sertools.audio.degrading import generator_of
from sertools.audio.opening import BadAudio
from sertools.augmentation.augmentation import Change, Samples
from sertools.augmentation.fields import COPY, COPY_OF
from sertools.augmentation.registry import AUGMENTATIONS
from sertools.corpora.audio_check import check_audio
from sertools.corpora.audio_write import write_audio
from sertools.corpora.problems import Problem
from sertools.errors import UserError
from sertools.files import json_hash, replacing

FULL_SCALE = 32767 / 32768
LONGEST_NAME = 200


@dataclass(frozen=True)
class Copy:
    """A copy of every utterance.

    Attributes:
        name: as on the command line, ``speed=0.9`` or ``speed=0.9,noise=10``.
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
    changes = []
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in AUGMENTATIONS:
            raise ValueError(f"'{part}': there are {', '.join(f'{one}=' for one in AUGMENTATIONS)}")
        try:
            changes.append(AUGMENTATIONS[name].change(value))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return Copy(text, tuple(changes))


def make_copies(
    cuts: Sequence[Cut], copies: Sequence[Copy], directory: Path, *, seed: int = 0, jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Made]:  # fmt: skip
    """Write every copy of every cut, cuts in order, the copies of each one after the other.

    A file that is there is kept: what made it is known by its folder's name, which the caller chooses.

    Args:
        cuts: of one recording and one supervision each.
        copies: with different names.
        directory: for the audio, a folder a copy.
        seed: of what is drawn.  An utterance's draws depend on it, the copy and the utterance's id alone.
        jobs: processes.
        progress: called with how many are done, and of how many.

    Raises:
        UserError: a cut has no audio, or not one supervision; an augmentation cannot be applied to it.
    """
    for copy in copies:
        (directory / copy.suffix).mkdir(parents=True, exist_ok=True)
    tasks = [(cut, copy) for cut in cuts for copy in copies]
    one = partial(_make_copy, directory=directory, seed=seed)
    made: list[Made] = []
    # functions of a change cannot be sent to another process: its name is
    names = [(cut, copy.name) for cut, copy in tasks]
    with ProcessPoolExecutor(jobs) as pool:
        for result in pool.map(one, names, chunksize=8):
            made.append(result)
            progress(len(made), len(names))
    return made


def _make_copy(task: tuple[Cut, str], directory: Path, seed: int) -> Made:
    cut, name = task
    copy = read_copy(name)
    if len(cut.supervisions) != 1:
        raise UserError(f"cut {cut.id} has {len(cut.supervisions)} supervisions; an utterance with one is needed")
    new = f"{cut.id}_{copy.suffix}"
    path = directory / copy.suffix / f"{_file_name(cut.id)}.flac"
    samples, softer = changed(cut, copy, seed)
    if not path.exists():
        with replacing(path) as temporary:
            write_audio(temporary, samples, int(cut.sampling_rate), "FLAC")
    found = check_audio(path)
    if isinstance(found, Problem):
        raise UserError(f"{path}: {found.reason}; remove it and run this again")
    return Made(_as_cut(cut, new, name, found.recording(new)), softer)


def changed(cut: Cut, copy: Copy, seed: int) -> tuple[Samples, bool]:
    """Samples (N,) of a copy, and whether they were made softer so that they do not clip.

    Raises:
        UserError: the audio cannot be read; an augmentation cannot be applied to it.
    """
    try:
        samples = load_cut(cut)[0]
    except BadAudio as error:
        raise UserError(f"{cut.id}: {error.reason}") from error
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
