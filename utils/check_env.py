"""Compare what is installed in an environment with its locks; print the lines of the locks that are to be installed.

    .venv/bin/python utils/check_env.py full

Run by the environment's own Python, with nothing but the standard library; make_env.sh installs what is
printed.  Packages that no lock names are left alone, such as what a user has added.
"""

import re
import sys
import sysconfig
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCKS = {"full": ("pip.txt", "full.txt", "k2.txt"), "modern": ("pip.txt", "modern.txt", "modern-torch.txt")}
EXTRA = "sertools-extra-"  # add_extra.sh leaves a file of this name in the environment


def normal(name: str) -> str:
    """A package's name, as the index knows it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path: Path) -> dict[str, tuple[str, str]]:
    """Package to version and line."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    found = [(line.split("==", 1), line) for line in lines if "==" in line and not line.startswith("#")]
    return {normal(name): (rest.split()[0], line) for (name, rest), line in found}


def wanted(kind: str, requirements: Path, extras: list[str]) -> dict[str, tuple[str, str]]:
    """Package to version and line, by the locks of an environment; those of its extras go over them."""
    locks = [*LOCKS[kind], *(f"{extra}-{kind}.txt" for extra in sorted(extras))]
    found: dict[str, tuple[str, str]] = {}
    for name in locks:
        if (requirements / name).exists():
            found |= read_lock(requirements / name)
    return found


def installed(paths: list[str]) -> dict[str, set[str]]:
    """Package to the versions that are there: more than one where an installation has failed half-way."""
    found: dict[str, set[str]] = {}
    for one in metadata.distributions(path=paths):
        name = one.metadata["Name"]
        if name:
            # torch says 1.13.1+cu117, of which the lock has 1.13.1
            found.setdefault(normal(name), set()).add((one.version or "").split("+")[0])
    return found


def differences(locked: Mapping[str, tuple[str, str]], there: Mapping[str, set[str]]) -> dict[str, str]:
    """Package to what is there in place of what is locked ("numpy 2.4.1, not 1.26.4")."""
    return {
        name: f"{name} {' and '.join(sorted(there[name]))}, not {version}" if name in there else f"{name} is missing"
        for name, (version, _) in locked.items()
        if there.get(name) != {version.split("+")[0]}
    }


def main() -> None:
    """Lines on stdout, words on stderr."""
    kind = " ".join(sys.argv[1:])
    if kind not in LOCKS:
        print(__doc__)
        sys.exit(0 if kind == "--help" else 2)
    extras = [path.name.removeprefix(EXTRA) for path in Path(sys.prefix).glob(f"{EXTRA}*")]
    locked = wanted(kind, ROOT / "requirements", extras)
    folders = sorted({sysconfig.get_paths()[name] for name in ("purelib", "platlib")})
    for name, what in differences(locked, installed(folders)).items():
        print(what, file=sys.stderr)
        print(locked[name][1])


if __name__ == "__main__":
    main()
