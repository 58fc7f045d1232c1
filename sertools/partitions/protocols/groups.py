"""Groups of speakers (sessions) are left out in turn: strict, and S1's."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from sertools.errors import UserError
from sertools.partitions.examples import Example
from sertools.partitions.folds import Fold
from sertools.partitions.protocol import Divided, NoOptions, Protocol, make_fold


def leave_one_group_out(examples: Sequence[Example], dev: Literal["speaker", "group"]) -> tuple[Fold, ...]:
    """One fold a group, in the order of the groups' names.

    ``dev="group"``: the next group (cyclically) is dev.  ``dev="speaker"``: only one of its speakers
    is, in fold i the i-th (cyclically), so that genders take turns; the rest of it trains.

    Raises:
        UserError: there are too few groups.
    """
    by_group: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        by_group[example.group].append(example)
    groups = sorted(by_group)
    needed = 3 if dev == "group" else 2
    if len(groups) < needed:
        raise UserError(
            f"leaving one group out needs at least {needed} groups of speakers, there are {len(groups)} "
            f"({', '.join(groups)}): deal the speakers into more of them (egs/own: --set groups=N when manifests are "
            "made), or, with too few speakers, take --protocol random, which tests speakers that also train and says so"
        )
    folds = []
    for index, group in enumerate(groups):
        neighbour = groups[(index + 1) % len(groups)]
        speakers = sorted({example.speaker for example in by_group[neighbour]})
        chosen = set(speakers) if dev == "group" else {speakers[index % len(speakers)]}
        held_out = [example.utterance for example in by_group[neighbour] if example.speaker in chosen]
        folds.append(make_fold(group, examples, held_out, [example.utterance for example in by_group[group]]))
    return tuple(folds)


def _strict(examples: Sequence[Example], options: NoOptions) -> Divided:
    description = "each group is tested once; the next group is dev; the other groups train"
    return Divided(leave_one_group_out(examples, dev="group"), description)


def _paper(examples: Sequence[Example], options: NoOptions) -> Divided:
    description = "each group is tested once; one speaker of the next group is dev; all other speakers train"
    return Divided(leave_one_group_out(examples, dev="speaker"), description)


STRICT = Protocol("strict", "each group of speakers is tested once, the next one is dev", _strict)
PAPER = Protocol("paper", "S1: each group is tested once, one speaker of the next one is dev", _paper)
