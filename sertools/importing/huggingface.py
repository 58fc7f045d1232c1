"""What the pipeline audio-classification of transformers gives."""

from pathlib import Path
from typing import Any

from sertools.errors import UserError
from sertools.importing.items import Item, Told, get, number, read_objects


def read(files: list[Path], told: Told) -> list[Item]:
    """JSON Lines of ``{"file": ..., "predictions": [{"label": ..., "score": ...}, ...]}``, or an object FILE: list.

    The list is what ``pipeline("audio-classification")(file, top_k=None)`` returns (transformers 4); without
    ``top_k=None`` it has the five best classes only, and probabilities are missing.
    """
    items = []
    for path in files:
        for where, value in read_objects(path):
            if isinstance(value, dict) and not {"predictions", "file", "path"} & value.keys():
                items += [_item(f"{where}, {name}", name, one) for name, one in value.items()]
            else:
                name = str(get(value, ("file", "path", "id", "audio"), where))
                items.append(_item(where, name, get(value, ("predictions", "scores"), where)))
    return items


def _item(where: str, name: str, values: Any) -> Item:
    if not isinstance(values, list) or not values:
        raise UserError(f"{where}: a list of label and score is expected")
    return Item(where, name, {str(get(v, ("label",), where)): number(get(v, ("score",), where), where) for v in values})
