"""What is installed is what was locked: a version and a hash for every file that is downloaded."""

import re
from pathlib import Path

import pytest

EXTRAS = ("ssl", "opensmile", "serve")
LOCKS = (
    "full.txt", "modern.txt", "k2.txt", "pip.txt", "build.txt",
    *(f"{extra}-{kind}.txt" for extra in EXTRAS for kind in ("full", "modern")), "docs-full.txt",
)  # fmt: skip
LINE = re.compile(r"([\w.-]+)==([\w.]+)((?: --hash=sha256:[0-9a-f]{64})+)")
# which build of torch is the user's choice
WITHOUT_HASH = {"modern-torch.txt": {"torch"}}


def normal(name: str) -> str:
    """A package's name, as the index knows it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_has_version_and_hash(root: Path, name: str) -> None:
    found = [LINE.fullmatch(line) for line in lines(root / "requirements" / name)]
    assert None not in found
    names = [normal(match[1]) for match in found if match]
    assert len(names) == len(set(names))


def test_every_file_of_requirements_is_known(root: Path) -> None:
    files = {path.name for path in (root / "requirements").iterdir() if path.suffix == ".txt"}
    # next.txt: versions to be tried, with which nothing is trained
    assert files == {*LOCKS, *WITHOUT_HASH, "next.txt"}
    for name, packages in WITHOUT_HASH.items():
        assert {line.split("==")[0] for line in lines(root / "requirements" / name)} == packages


@pytest.mark.parametrize("name", ["full", "modern"])
def test_what_is_asked_for_is_locked(root: Path, name: str) -> None:
    folder = root / "requirements"
    locked = {normal(line.split("==")[0]) for line in lines(folder / f"{name}.txt")}
    asked = [line for file in (f"{name}.in", "base.in", "dev.in") for line in lines(folder / file)]
    wanted = {normal(re.split(r"[<>=!~;]", line)[0].strip()) for line in asked if not line.startswith("-r")}
    assert wanted - locked == (WITHOUT_HASH["modern-torch.txt"] if name == "modern" else set())


def test_pip_is_only_called_with_locks(root: Path) -> None:
    """Every call of pip: with a locked file, a hash that stands in the script, or nothing to download."""
    calls = []
    for path in sorted((root / "utils").rglob("*.sh")):
        text = path.read_text().replace("\\\n", " ")
        for line in text.splitlines():
            code = line.split("#")[0].strip()
            # pip() is the function of make_env.sh
            if re.search(r"-m pip .*(install|wheel)|/pip\" install|^(if .*then )?pip ", code) and "pip() {" not in code:
                calls.append((path.name, code))
    assert len(calls) >= 8
    safe = re.compile(r"--no-index|-r \"?[\w$/.{}]*(pip|build|k2|full|modern|\$kind|kaldifeat)\.txt|--require-hashes")
    others = [call for call in calls if not safe.search(call[1])]
    assert [call[0] for call in others if "modern-torch.txt" not in call[1]] == ["lock_requirements.sh"]
    # the script that makes the locks asks for what it is to lock, and installs nothing
    assert "--dry-run" in next(call[1] for call in others if call[0] == "lock_requirements.sh")


def test_sources_that_are_built_have_a_hash(root: Path) -> None:
    text = (root / "utils/build_kaldifeat.sh").read_text()
    assert re.search(r"^source_hash=[0-9a-f]{64}$", text, re.MULTILINE)
    assert 'echo "kaldifeat==1.24 --hash=sha256:$source_hash"' in text
    assert "--no-build-isolation --no-deps --require-hashes" in text
