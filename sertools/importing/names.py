"""Which of our utterances another toolkit means."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from sertools.errors import UserError
from sertools.importing.items import Item
from sertools.partitions.folds import Folds


class Utterances:
    """Utterances by their names, with and without what toolkits put around them.

    A name is looked for as it is; as the name of a file without folders and suffix; with the span of a segment in
    milliseconds, as egs/own calls it; and so that only letters (in any case) and digits count, also after the name of
    the corpus (EmoBox's ``cremad-1087-IWL-ANG-XX``).
    """

    def __init__(self, folds: Folds) -> None:
        self._ids = set(folds.labels)
        self._plain: dict[str, list[str]] = defaultdict(list)
        for utterance in folds.labels:
            self._plain[_plain(utterance)].append(utterance)
        self._corpora = [_plain(name) for name in folds.corpora]

    def find(self, item: Item) -> str | None:
        """The utterance; None if there is none.

        Raises:
            UserError: two may be meant.
        """
        path = PurePosixPath(item.name.replace("\\", "/"))
        stem = path.stem if path.suffix[1:].isalnum() and not path.suffix[1:].isdigit() else path.name
        names = [item.name, stem, path.name]
        if item.span is not None and item.span[1] is not None:
            names = [
                f"{name}_{round(1000 * item.span[0]):07d}_{round(1000 * item.span[1]):07d}" for name in names
            ] + names
        names.append("-".join(path.with_suffix("").parts[-2:]))
        for name in names:
            if name in self._ids:
                return name
        for name in names:
            plain = _plain(name)
            for candidate in (plain, *(plain.removeprefix(corpus) for corpus in self._corpora)):
                found = self._plain.get(candidate, [])
                if len(found) > 1:
                    raise UserError(f"{item.where}: '{item.name}' may be {found[0]} or {found[1]}")
                if found:
                    return found[0]
        return None


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """Names in lower case, to themselves."""
    return {name.lower(): name for name in names}


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
