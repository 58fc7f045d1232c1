"""What systems are told of the speakers they are tested on: those that are told more solve an easier task."""

from collections.abc import Collection
from dataclasses import dataclass

from sertools.emotion.transductive import BY_SPEAKER, REMEMBERED
from sertools.partitions.guessing import OF_TEACHER


@dataclass(frozen=True)
class Setting:
    """Systems of one setting are compared with each other, and with no others.

    Attributes:
        name: for people; empty where every tested utterance is by itself.
        remark: what the checkpoints of such systems say, or how it begins.
        told: what they are told, for the title of their table.
    """

    name: str = ""
    remark: str = ""
    told: str = ""

    @property
    def title(self) -> str:
        """Of the table of such systems; empty where every tested utterance is by itself."""
        return self.name and f"{self.name}: {self.told}; an easier task, compared among themselves"


SETTINGS = (
    Setting("speakers normalised", BY_SPEAKER, "several utterances of a tested speaker are known at once"),
    Setting("speakers remembered", REMEMBERED.partition("{")[0], "i-vectors have heard other utterances of a speaker"),
)
"""All but the plain one: what is told of a tested speaker is more than the utterance.

Others are none.  Words that are read (``REFERENCE``), and words or labels of the tested corpus that a network has
learnt from, are told of what is tested and not of who speaks: such a system is to be compared with those that lack
them, for that is what it shows, and every output says it above its numbers.
"""


def setting_of(remarks: Collection[str]) -> Setting:
    """The setting of a system whose runs say this; where several apply, all of them as one.

    An ensemble says it of a member (``NAME: ...``), a model that is applied as it is of its training (``of its own
    training: ...``): those are normalised, too.  What a student's teacher was told is not told to the student.
    """
    said = [line.partition(OF_TEACHER)[0] for line in remarks]
    found = [setting for setting in SETTINGS if any(setting.remark in line for line in said)]
    if len(found) == 1:
        return found[0]
    return Setting(" and ".join(one.name for one in found), told="; ".join(one.told for one in found))
