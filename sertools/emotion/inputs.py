"""What systems need besides cuts and folds: declared by their kinds, and checked, hashed and kept here.

On the command line an input is given as ``--input NAME=PATH``, or ``--NAME PATH``.  In the path, a part
``FOLD`` stands for the name of a run's fold and a part ``SEED`` for its seed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sertools.emotion.copies import keep_copy
from sertools.emotion.system import RunId
from sertools.errors import UserError
from sertools.files import content_hash, json_hash
from sertools.partitions.folds import Fold, Folds
from sertools.provenance import require_whole
from sertools.runs.folder import CARRIED_FROM, read_info
from sertools.training.checkpoint import INFO, WEIGHTS


@dataclass(frozen=True)
class Need:
    """Something that a kind of system can be given, as a configuration of it needs it.

    Attributes:
        name: on the command line.
        what: it is, for messages: "the checkpoint of an acoustic model".
        made_by: the stage that makes it, for messages.
        of: a checkpoint's folder, another folder, or a file.
        required: whether this configuration cannot do without.
        used: False: this configuration does not look at it, if it is given.
        stamped: whether a run depends on its content, which the features' stamp does not tell.
        kept: whether a copy is kept, without which the run cannot be used; beside the runs that share it.
        hashes: role to hash of what a run depends on; None for that of the weights, the file or all files.
        check: called with its path, what made the cuts (:func:`sertools.provenance.made_with`), and their
            name for messages; raises UserError if it does not go with such features.
        check_fold: called with its path, the folds and the run's own; raises UserError if it knows what it must not.
        about: what the run's checkpoint says of it, for ``info.json``, given its path.
        remarks: what every output of results must say of it, given its path, the corpora that are tested on, and the
            names of the utterances that train in the run's fold.
    """

    name: str
    what: str
    made_by: str
    of: Literal["checkpoint", "directory", "file"] = "checkpoint"
    required: bool = False
    used: bool = True
    stamped: bool = True
    kept: bool = False
    hashes: Callable[[Path], dict[str, str]] | None = None
    check: Callable[[Path, Any, str], None] | None = None
    check_fold: Callable[[Path, Folds, Fold], None] | None = None
    about: Callable[[Path], dict[str, Any]] | None = None
    remarks: Callable[[Path, Sequence[str], Sequence[str]], Sequence[str]] | None = None

    @property
    def carried(self) -> bool:
        """Whether it is a trained run of a system, which has heard utterances of folds."""
        return self.of == "checkpoint" and self.check_fold is not None


def check_given(needs: Sequence[Need], given: Mapping[str, Path], kind: str, where: str) -> None:
    """Check that what is needed is given, and nothing that the kind cannot use.

    Args:
        needs: of a configuration.
        given: name to path.
        kind: its name.
        where: of the configuration, for messages.

    Raises:
        UserError: something is missing, or not wanted.
    """
    names = [need.name for need in needs]
    for name in given:
        if name not in names:
            takes = ", ".join(f"--{one}" for one in names) or "nothing besides cuts and folds"
            raise UserError(f"{where} is a system of the kind {kind}, which takes no --{name}; it takes {takes}")
    for need in needs:
        if need.required and need.name not in given:
            raise UserError(f"{where} needs --{need.name}, {need.what}; it is made by {need.made_by}")


def fill_in(path: Path, run_id: RunId) -> Path:
    """A path with the fold's name in place of a part ``FOLD``, the seed in place of ``SEED``."""
    parts = {"FOLD": run_id.fold, "SEED": str(run_id.seed)}
    return Path(*(_filled(part, parts) for part in path.parts))


def _filled(part: str, values: Mapping[str, str]) -> str:
    # fold_FOLD and seed_SEED are how folders of runs are called
    for name, value in values.items():
        if part in (name, f"{name.lower()}_{name}"):
            return part.replace(name, value)
    return part


@dataclass(frozen=True)
class Inputs:
    """What a run was given.

    Attributes:
        needs: of its configuration.
        given: name to path, as given.
        paths: name to path, of this run's fold and seed; only what its configuration uses.
    """

    needs: tuple[Need, ...] = ()
    given: Mapping[str, Path] = field(default_factory=dict)
    paths: Mapping[str, Path] = field(default_factory=dict)

    @staticmethod
    def of(needs: Sequence[Need], given: Mapping[str, Path], run_id: RunId) -> "Inputs":
        """Those of a run.

        Raises:
            UserError: something is not there, damaged or not finished.
        """
        used = [need for need in needs if need.used and need.name in given]
        paths = {need.name: require_whole(fill_in(given[need.name], run_id), need.made_by) for need in used}
        return Inputs(tuple(needs), given, paths)

    def hashes(self) -> dict[str, str]:
        """Role to hash, for the stamp."""
        found: dict[str, str] = {}
        for need in self._used():
            if need.stamped:
                path = self.paths[need.name]
                found |= need.hashes(path) if need.hashes is not None else {need.name: _hash(need, path)}
        return found

    def check_features(self, features: Any, where: str) -> None:
        """Raise UserError if cuts of these features do not go with what was given.

        ``features`` is what :func:`sertools.provenance.made_with` says of the cuts ``where``.
        """
        for need in self._used():
            if need.check is not None:
                need.check(self.paths[need.name], features, where)

    def check_fold(self, folds: Folds, fold: Fold) -> None:
        """Raise UserError if what was given has heard what this fold tests, where its kind says so."""
        for need in self._used():
            if need.check_fold is not None:
                need.check_fold(self.paths[need.name], folds, fold)

    def about(self) -> dict[str, Any]:
        """What the run's checkpoint says of what was given."""
        told = [(need.about, self.paths[need.name]) for need in self._used()]
        return {name: value for about, path in told if about is not None for name, value in about(path).items()}

    def carried_from(self) -> list[str]:
        """Corpora that networks have heard which a run begins from, and those that these began from; sorted."""
        found: set[str] = set()
        for need in self._used():
            if need.carried:
                info = read_info(self.paths[need.name] / INFO)
                found |= {*str(info.get("corpus", "")).split("+"), *info.get(CARRIED_FROM, ())} - {""}
        return sorted(found)

    def remarks(self, corpora: Sequence[str], train: Sequence[str]) -> list[str]:
        """What every output must say of what was given, where ``corpora`` are tested on and ``train`` trains."""
        told = [(need.remarks, self.paths[need.name]) for need in self._used()]
        return [line for remarks, path in told if remarks is not None for line in remarks(path, corpora, train)]

    def keep(self, run: Path) -> dict[str, str]:
        """Copy what a run cannot be used without into the experiment.

        Args:
            run: folder of the run; what all folds share is kept in the experiment's, what all seeds share in
                the fold's.

        Returns:
            Name to place seen from ``run``, for ``info.json``.
        """
        kept = {}
        for need in self._used():
            if need.kept:
                depth = _depth(self.given[need.name])
                keep_copy(self.paths[need.name], [run.parents[1], run.parent, run][depth] / need.name)
                kept[need.name] = "../" * (2 - depth) + need.name
        return kept

    def _used(self) -> list[Need]:
        return [need for need in self.needs if need.name in self.paths]


def _depth(given: Path) -> int:
    """What an input's path depends on: 0 nothing, 1 the fold, 2 the seed."""
    one, other = fill_in(given, RunId("a", 1)), fill_in(given, RunId("a", 2))
    return 2 if one != other else int(one != fill_in(given, RunId("b", 1)))


def _hash(need: Need, path: Path) -> str:
    if need.of == "checkpoint":
        return content_hash(path / WEIGHTS)
    if path.is_file():
        return content_hash(path)
    files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    return json_hash([[p.relative_to(path).as_posix(), content_hash(p)] for p in files])
