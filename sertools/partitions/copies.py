"""Augmented copies in folds: each trains where what it is a copy of trains, and is never dev or test."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sertools.augmentation.fields import COPY, COPY_OF
from sertools.errors import UserError
from sertools.partitions.folds import Fold, Folds, check_folds

ALL = "all"
AUGMENTED = "AUGMENTED"
"""Begins the remark of folds in which copies train."""


def apart(supervisions: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Supervisions of utterances, and those of augmented copies (:mod:`sertools.augmentation`), in order."""
    everything = list(supervisions)
    copies = [one for one in everything if COPY_OF in (one.custom or {})]
    return [one for one in everything if COPY_OF not in (one.custom or {})], copies


def chosen_copies(supervisions: Sequence[Any], wanted: str | Sequence[str]) -> dict[str, dict[str, str]]:
    """Name of a copy to utterance to the id of that copy of it.

    Args:
        supervisions: of copies.
        wanted: their names (``speed=0.9``); ``all``.

    Raises:
        UserError: there is no such copy; an utterance has two of one name.
    """
    found: dict[str, dict[str, str]] = {}
    for one in supervisions:
        of_name = found.setdefault(str(one.custom.get(COPY, "")), {})
        if of_name.setdefault(str(one.custom[COPY_OF]), one.id) != one.id:
            raise UserError(f"{one.custom[COPY_OF]} has two copies {one.custom.get(COPY)}; make the copies again")
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    if ALL in names:
        if not found:
            raise UserError("copies: all, and the manifest has none; local/augment_corpus.py makes them")
        return found
    for name in names:
        if name not in found:
            there = ", ".join(found) or "none; local/augment_corpus.py makes them"
            raise UserError(f"copies: there is no '{name}' in the manifest, but {there}")
    return {name: found[name] for name in names}


def with_copies(folds: Folds, copies: Mapping[str, Mapping[str, str]]) -> Folds:
    """Folds whose training parts have copies, too, and say so in a remark.

    Args:
        folds: without copies.
        copies: see :func:`chosen_copies`; those of utterances that are in no part are left alone.

    Raises:
        UserError: an utterance that trains has no such copy; the folds would leak.
    """
    made = tuple(_added(fold, copies) for fold in folds.folds)
    of = {copy: utterance for name in copies for utterance, copy in copies[name].items() if utterance in folds.labels}
    if both := of.keys() & folds.labels.keys():
        raise UserError(f"a copy and an utterance are both called {min(both)}; ids must be unique")
    result = replace(
        folds,
        folds=made,
        labels=folds.labels | {copy: folds.labels[utterance] for copy, utterance in of.items()},
        speakers=folds.speakers | {copy: folds.speakers[utterance] for copy, utterance in of.items()},
        corpus_of=folds.corpus_of | {copy: folds.corpus_of[u] for copy, u in of.items() if u in folds.corpus_of},
        shares=folds.shares | {copy: folds.shares[u] for copy, u in of.items() if u in folds.shares},
        copies=of,
        remarks=(
            *folds.remarks,
            f"{AUGMENTED}: each labelled training utterance trains as its copies {', '.join(copies)} too",
        ),
    )
    check_folds(result, "the folds with copies")
    return result


def _added(fold: Fold, copies: Mapping[str, Mapping[str, str]]) -> Fold:
    added = []
    for name, of_name in copies.items():
        if lacking := next((utterance for utterance in fold.train if utterance not in of_name), None):
            raise UserError(
                f"utterance {lacking} has no copy {name}; local/augment_corpus.py makes it, for each corpus that trains"
            )
        added += [of_name[utterance] for utterance in fold.train]
    return replace(fold, train=tuple(sorted({*fold.train, *added})))
