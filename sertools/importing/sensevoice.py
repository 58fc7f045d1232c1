"""What SenseVoice says of an utterance's emotion."""

import re
from pathlib import Path

from sertools.errors import UserError
from sertools.importing.items import Item, Told, get, read_objects
from sertools.reading import read_text

EMOTIONS = ("HAPPY", "SAD", "ANGRY", "NEUTRAL", "FEARFUL", "DISGUSTED", "SURPRISED", "EMO_UNKNOWN")
TAG = re.compile(r"<\|(\w+)\|>")


def read(files: list[Path], told: Told) -> list[Item]:
    """JSON (Lines) of ``{"key": ..., "text": "<|en|><|HAPPY|><|Speech|><|woitn|>..."}``, or lines ``key text``.

    The first is what FunASR's ``AutoModel.generate`` returns for SenseVoiceSmall, the second what its evaluation's
    text files hold (FunAudioLLM/SenseVoice, README.md and data/val_example.jsonl, where the tag is ``emo_target``).
    There are no probabilities.  Tags: HAPPY, SAD, ANGRY, NEUTRAL, FEARFUL, DISGUSTED, SURPRISED, EMO_UNKNOWN.  Of
    a recording cut by a voice activity detector the first tag is taken only if all are the same.
    """
    items = []
    for path in files:
        for where, key, text in _lines(path):
            tags = [tag for tag in TAG.findall(text) if tag in EMOTIONS]
            if not tags:
                raise UserError(f"{where}: no tag of an emotion (<|HAPPY|> ...) in '{text[:60]}'")
            if len(set(tags)) > 1:
                raise UserError(f"{where}: several emotions ({', '.join(tags)}) of one utterance; let it hear it whole")
            items.append(Item(where, key, chosen=tags[0]))
    return items


def _lines(path: Path) -> list[tuple[str, str, str]]:
    if path.suffix in (".json", ".jsonl"):
        values = read_objects(path)
        return [(w, str(get(v, ("key",), w)), str(get(v, ("text", "emo_target"), w))) for w, v in values]
    found = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.strip().split(maxsplit=1)
        if len(words) == 1:
            raise UserError(f"{path}, line {number}: KEY and text are expected, not '{line[:60]}'")
        if words:
            found.append((f"{path}, line {number}", words[0], words[1]))
    return found
