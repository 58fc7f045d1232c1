"""What a kind of features says of itself; sertools.features.kinds lists those there are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sertools.errors import UserError
from sertools.features.maker import Maker
from sertools.features.store import StoreConfig

__all__ = ["FeatureKind", "Given", "Maker", "Need"]


@dataclass(frozen=True)
class Need:
    """Something besides cuts that a kind is computed from, given by ``--input NAME=PATH``.

    Attributes:
        name: on the command line.
        what: it is, for messages.
        made_by: the stage or program that makes it, or where it is from.
    """

    name: str
    what: str
    made_by: str


@dataclass(frozen=True)
class Given:
    """What a program was given besides cuts and configuration.

    Attributes:
        inputs: the kind's needs, by name; all are there.
        device: a torch device, for kinds that compute on one.
    """

    inputs: Mapping[str, Path] = field(default_factory=dict)
    device: str = "cpu"


@dataclass(frozen=True)
class FeatureKind:
    """A kind of features.

    Attributes:
        name: of its block in a configuration file and in stamps.  Its arrays on a cut are called so, or
            begin with the name and an underscore.
        config: dataclass of the block.
        maker: from an instance of ``config`` and what is given to what computes.
        reads: what it is computed from: audio, which may be perturbed, or features or text on the cuts.
        needs: what must be given besides.
        uses_device: whether it computes on a torch device, and on a processor with as many threads as torch.
        store: how it is kept where the configuration file does not say.
        rows: what a row of its arrays belongs to: the time from its beginning to that of the next, or the
            moment at its centre, so that there is one more at the end of an utterance.
        made_by: the stage, where it is not compute_features.py with a block of this kind.
    """

    name: str
    config: type
    maker: Callable[[Any, Given], Maker]
    reads: Literal["audio", "features", "text"] = "audio"
    needs: tuple[Need, ...] = ()
    uses_device: bool = False
    store: StoreConfig = field(default_factory=StoreConfig)
    rows: Literal["begin", "centre"] = "begin"
    made_by: str = ""

    def check_given(self, given: Given) -> None:
        """Check that all that is needed is given, and nothing else.

        Raises:
            UserError: it is not.
        """
        for need in self.needs:
            if need.name not in given.inputs:
                raise UserError(
                    f"{self.name} needs {need.what}: give --input {need.name}=PATH; it is made by {need.made_by}"
                )
            if not given.inputs[need.name].exists():
                raise UserError(f"{given.inputs[need.name]} does not exist; {need.what} is made by {need.made_by}")
        known = [need.name for need in self.needs]
        other = next((name for name in given.inputs if name not in known), None)
        if other is not None:
            raise UserError(f"--input {other}: {self.name} takes {', '.join(known) or 'no inputs'}")
