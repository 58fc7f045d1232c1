"""Applies each mutation of mutations.yaml to a copy of the tree and says which ones its tests do not notice.

By hand, from the top of the tree: .venv/bin/python tests/mutation/run.py (see tests/mutation.md)
"""

import argparse
import hashlib
import importlib
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = Path(__file__).with_name("mutations.yaml")
RESULTS = Path(__file__).with_name("results.tsv")  # entry's digest, what was found, seconds, the test that failed, name
# imported once; what a mutation may change is not among them
HEAVY = (
    "torch", "torch.utils.tensorboard", "lhotse", "scipy.stats", "scipy.optimize", "scipy.sparse", "safetensors.torch",
    "hypothesis", "k2", "matplotlib.pyplot", "soundfile",
)  # fmt: skip
KILLED, SURVIVED, BROKEN, SLOW = "killed", "SURVIVED", "BROKEN", "TOO SLOW"


@dataclass(frozen=True)
class Mutation:
    """One change, the tests that must notice it, and, where none can, why it changes nothing that counts."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    equivalent: str = ""

    @property
    def digest(self) -> str:
        """Changes with the change itself; what was found of another change says nothing."""
        return hashlib.sha256(f"{self.file}\0{self.old}\0{self.new}".encode()).hexdigest()[:12]

    @property
    def mutated(self) -> str:
        """The text of the file with the change."""
        return (ROOT / self.file).read_text(encoding="utf-8").replace(self.old, self.new)


def read_mutations() -> list[Mutation]:
    """All entries."""
    entries = yaml.safe_load(ENTRIES.read_text(encoding="utf-8"))
    return [Mutation(**entry | {"tests": tuple(entry["tests"])}) for entry in entries]


def read_results() -> dict[str, list[str]]:
    """What was found before, by the entry's digest."""
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.is_file() else []
    return {line.partition("\t")[0]: line.split("\t") for line in lines}


def write_result(one: Mutation, found: str, seconds: float, by: str) -> None:
    """Beside the others', in the entries' order; those of entries that are gone are left out."""
    results = read_results() | {one.digest: [one.digest, found, f"{seconds:.0f}", by, one.name]}
    lines = ["\t".join(results[other.digest]) for other in read_mutations() if other.digest in results]
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def copied_tree() -> Iterator[Path]:
    """A copy of all that is not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
        capture_output=True,
    ).stdout  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        for name in filter(None, listed.decode().split("\0")):
            if (ROOT / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, tree / name, follow_symlinks=False)
        (Path(folder) / "shared").symlink_to(ROOT.parent / "shared")  # as the tests look for it
        yield tree


def _test(tree: Path, tests: tuple[str, ...], log: Path) -> None:
    """In a process of its own: imports that are made already cost nothing, and what is mutated is imported anew."""
    import pytest

    with open(log, "wb") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    os.chdir(tree)
    sys.dont_write_bytecode = True
    sys.path[0] = str(tree)
    os.environ |= {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=short", *tests]))


def run_tests(tree: Path, tests: tuple[str, ...], limit: float, log: Path) -> str:
    """What the tests say of a tree."""
    process = multiprocessing.get_context("fork").Process(target=_test, args=(tree, tests, log))
    process.start()
    process.join(limit)
    if process.is_alive():
        process.kill()
        process.join()
        return SLOW
    # 1: a test failed; anything else but 0: the tests could not be run, which proves nothing
    return {0: SURVIVED, 1: KILLED}.get(process.exitcode or 0, BROKEN)


def main() -> int:
    """Run; the status is 1 if a mutation survives that is not said to be equivalent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], help="mutations whose name holds one of these")
    parser.add_argument("--limit", type=float, default=300, help="seconds for the tests of one (default: 300)")
    parser.add_argument("--missing", action="store_true", help="those not seen killed yet (results.tsv)")
    parser.add_argument("--unchecked", action="store_true", help="the tests are known to pass without mutations")
    args = parser.parse_args()
    chosen = [one for one in read_mutations() if any(part in one.name for part in args.only)]
    if args.missing:
        chosen = [one for one in chosen if read_results().get(one.digest, ["", ""])[1] != KILLED]
    for name in HEAVY:
        with suppress(ImportError):
            importlib.import_module(name)
    counts: Counter[str] = Counter()
    bad = False
    with copied_tree() as tree, tempfile.TemporaryDirectory() as logs:
        log = Path(logs) / "log"
        tests = tuple(sorted({test for one in chosen for test in one.tests}))
        if not args.unchecked and (found := run_tests(tree, tests, 10 * args.limit, log)) != SURVIVED:
            print(f"{log.read_text()[-3000:]}\nthe tests fail without any mutation ({found})")
            return 1
        for one in chosen:
            started = time.monotonic()
            path = tree / one.file
            path.write_text(one.mutated, encoding="utf-8")
            try:
                found = run_tests(tree, one.tests, args.limit, log)
            finally:
                shutil.copy2(ROOT / one.file, path)
            counts[found] += 1
            bad |= found != KILLED and not one.equivalent
            note = f" (equivalent: {one.equivalent})" if one.equivalent else ""
            seconds = time.monotonic() - started
            by = re.search(r"^(?:FAILED|ERROR) (\S+)", log.read_text(errors="replace"), re.MULTILINE)
            write_result(one, found, seconds, by[1] if by and found == KILLED else "")
            print(f"{found:10} {seconds:6.1f} s  {one.name}{note}", flush=True)
            if found == BROKEN:
                print(log.read_text()[-1500:])
    print(", ".join(f"{count} {name}" for name, count in sorted(counts.items())), f"of {len(chosen)}")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
