"""The same recording under several names: trained and tested, or with two labels, it would mislead."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from sertools.corpora.audio_check import AudioFile
from sertools.corpora.problems import Problem
from sertools.corpora.table.utterances import Utterance
from sertools.files import content_hash


def copies(utterances: Sequence[Utterance], audio: Mapping[str, AudioFile]) -> dict[str, Problem]:
    """Files whose content is that of an earlier one, each with what is wrong.

    Only files of equal length and size are read.

    Args:
        utterances: of the corpus.
        audio: its good files, by their path.
    """
    values: dict[str, list[dict[str, str]]] = defaultdict(list)
    first: dict[str, Utterance] = {}
    for one in utterances:
        if str(one.file) in audio:
            first.setdefault(str(one.file), one)
            values[str(one.file)].append(_said(one))
    sizes: dict[tuple[int, int], list[str]] = defaultdict(list)
    for name in sorted(first):
        sizes[audio[name].num_samples, Path(name).stat().st_size].append(name)
    found = {}
    for alike in sizes.values():
        seen: dict[str, str] = {}
        for name in alike if len(alike) > 1 else ():
            other = seen.setdefault(content_hash(name), name)
            if other != name:
                told = "the same label and speaker" if values[name] == values[other] else "another label or speaker"
                one = first[name]
                what = f"{one.name} is a copy of {first[other].name}, with {told}; keep one of them"
                found[name] = Problem("copied audio", one.where, what, one.line)
    return found


def _said(one: Utterance) -> dict[str, str]:
    return {name: one.values.get(name, "") for name in ("class", "speaker")}
