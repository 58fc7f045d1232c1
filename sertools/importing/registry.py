"""The toolkits whose predictions can be read: a new one is a module with ``read`` and a line here."""

from collections.abc import Callable
from pathlib import Path

from sertools.importing import autrainer, emobox, huggingface, nkululeko, sensevoice, speechbrain
from sertools.importing.items import Item, Told

Reader = Callable[[list[Path], Told], list[Item]]
FORMATS: dict[str, Reader] = {
    "nkululeko": nkululeko.read,
    "emobox": emobox.read,
    "autrainer": autrainer.read,
    "speechbrain": speechbrain.read,
    "huggingface": huggingface.read,
    "sensevoice": sensevoice.read,
}
