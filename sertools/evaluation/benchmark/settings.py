"""What systems are told of the speakers they are tested on: those that are told more solve an easier task."""

from collections.abc import Collection
from dataclasses import dataclass

from sertools.emotion.transductive import BY_SPEAKER


@dataclass(frozen=True)
class Setting:
    """Systems of one setting are compared with each other, and with no others.

    Attributes:
        name: for people; empty where every tested utterance is by itself.
        remark: the sentence that the checkpoints of such systems carry.
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
)  # fmt: skip
"""All but the plain one.  A model that is applied as it is carries what is said of its own training in other words, and
is no such system."""


def setting_of(remarks: Collection[str]) -> Setting:
    """The setting of a system whose runs say this; where several apply, all of them as one."""
    found = [setting for setting in SETTINGS if setting.remark in remarks]
    if len(found) == 1:
        return found[0]
    return Setting(" and ".join(one.name for one in found), told="; ".join(one.told for one in found))
