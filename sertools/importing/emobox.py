"""EmoBox's predictions."""

from pathlib import Path

from sertools.importing.items import Item, Told, get, read_objects


def read(files: list[Path], told: Told) -> list[Item]:
    """Lists of ``{"key": ..., "pred": ...}``, as JSON or JSON Lines (EmoBox/EmoEval.py, commit 08280f2, March 2025).

    ``pred`` is called ``prediction`` in its code; it is the index of a class in data/CORPUS/label_map.json, which
    --classes gives in order.  There are no probabilities.  Keys are ``CORPUS-name-of-the-file``.
    """
    items = []
    for path in files:
        for where, value in read_objects(path):
            chosen = told.name(get(value, ("pred", "prediction"), where), where)
            items.append(Item(where, str(get(value, ("key",), where)), chosen=chosen))
    return items
