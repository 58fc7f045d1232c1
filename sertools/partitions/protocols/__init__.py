"""The protocols that there are: to add one, write its module and a line here."""

from sertools.errors import UserError
from sertools.partitions.protocol import Protocol
from sertools.partitions.protocols.cross import CROSS
from sertools.partitions.protocols.dealt import SPEAKERS_DEALT, UTTERANCES_DEALT
from sertools.partitions.protocols.fixed import FIXED
from sertools.partitions.protocols.groups import PAPER, STRICT
from sertools.partitions.protocols.known_speakers import KNOWN_SPEAKERS
from sertools.partitions.protocols.random_parts import RANDOM
from sertools.partitions.protocols.repeated import REPEATED

_ALL = (STRICT, PAPER, RANDOM, REPEATED, FIXED, CROSS, KNOWN_SPEAKERS, SPEAKERS_DEALT, UTTERANCES_DEALT)
PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _ALL}


def find_protocol(name: str, where: str) -> Protocol:
    """The protocol called ``name``.

    Raises:
        UserError: there is none; the message lists those that there are.
    """
    if name not in PROTOCOLS:
        known = "".join(f"\n  {one.name}: {one.title}" for one in PROTOCOLS.values())
        raise UserError(f"{where}: there is no protocol '{name}'; there are{known}")
    return PROTOCOLS[name]
