"""What SpeechBrain's classifiers give."""

import re
from pathlib import Path

from sertools.errors import UserError
from sertools.importing.items import Item, Told, get, number, read_objects
from sertools.reading import read_text


def read(files: list[Path], told: Told) -> list[Item]:
    """JSON Lines of ``{"id": ..., "out_prob": [...], "text_lab": ...}``, and ``label_encoder.txt`` of the model.

    SpeechBrain's recipes (recipes/IEMOCAP/emotion_recognition) write no table of predictions; these are the values of
    ``classify_batch`` and ``classify_file`` (out_prob, score, index, text_lab), a line an utterance.  The order of
    out_prob is that of label_encoder.txt (CategoricalEncoder: ``'ang' => 0``), or of --classes.  Where a recipe's
    network ends in log_softmax, out_prob is of logarithms: say --logits.  Without out_prob the class alone is taken.
    """
    encoders = [path for path in files if path.suffix == ".txt"]
    if encoders:
        told = Told(_classes(encoders[0]))
    items = []
    for path in files:
        for where, value in read_objects(path) if path not in encoders else ():
            name = str(get(value, ("id", "key", "wav"), where))
            if "out_prob" in value:
                out = value["out_prob"]
                # a batch of one
                out = out[0] if isinstance(out, list) and len(out) == 1 and isinstance(out[0], list) else out
                items.append(Item(where, name, told.scores(out, where)))
                continue
            chosen = get(value, ("text_lab", "index"), where)
            chosen = chosen[0] if isinstance(chosen, list) and len(chosen) == 1 else chosen
            items.append(Item(where, name, chosen=told.name(chosen, where)))
    return items


def _classes(path: Path) -> tuple[str, ...]:
    found = re.findall(r"^'(.*)' => (\d+)$", read_text(path).split("====")[0], flags=re.MULTILINE)
    order = {int(number(place, str(path))): name for name, place in found}
    if not found or sorted(order) != list(range(len(found))):
        raise UserError(f"{path} is no label encoder of SpeechBrain: lines 'class' => number, counted from 0")
    return tuple(order[place] for place in range(len(found)))
