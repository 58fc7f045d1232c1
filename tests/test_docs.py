"""The documentation: no link leads nowhere, its commands are programs with these options, and the site can be built."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("egs/*/README.md"),
        *ROOT.glob("benchmarks/**/*.md"),
    ]
    if "_build" not in path.parts
)


def site_links() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_links", ROOT / "docs/site_links.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def headings(page: Path) -> set[str]:
    """Headings as a forge makes targets of them."""
    found = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for url in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", url):
            continue
        path, _, heading = url.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), url
        if heading:
            assert heading in headings(target / "README.md" if target.is_dir() else target), url


def test_links_of_the_site() -> None:
    links = site_links()
    known = links.pages(ROOT / "docs")
    page = ROOT / "docs/papers/s1.md"
    told = links.rewritten(
        "[r](../../RESULTS.md#speed) [c](../../egs/common/conf) ![p](../pictures/ravdess.svg)", page, page, known
    )
    assert told == "[r](../results.md#speed) `egs/common/conf` ![p](../pictures/ravdess.svg)"
    with pytest.raises(ValueError, match="leads nowhere"):
        links.rewritten("[x](absent.md)", page, page, known)


FIVE = {
    "own_corpus.md": "columns file, speaker and label",
    "tables.md": "both are given averaged over folds and pooled",
    "questions.md": "Why is my figure lower than the paper's?",
    "gpus.md": "k2",
    "predicting.md": "## A long recording",
}
"""What users ask most (own corpus, which UA, why lower than the paper, GPU and k2, long recordings), and the answer."""


@pytest.mark.parametrize("start", ["README.md", "docs/index.md"])
def test_the_five_questions_are_answered_within_three_clicks(start: str) -> None:
    """The third click is the one on a heading; links only, without the site's menu, which has every page."""
    reached, edge = {ROOT / start}, [ROOT / start]
    for _ in range(2):
        targets = [
            (page.parent / path).resolve()
            for page in edge
            for path in re.findall(r"\]\(([^)\s#:]+\.md)", page.read_text(encoding="utf-8"))
        ]
        edge = [path for path in dict.fromkeys(targets) if path not in reached]
        reached |= set(edge)
    for page, words in FIVE.items():
        assert ROOT / "docs" / page in reached, page
        assert words in (ROOT / "docs" / page).read_text(encoding="utf-8"), page


# -- commands


def commands() -> list[tuple[str, list[str]]]:
    """(Page, words) of every line of a block of shell that runs a script of a recipe or a program of local/."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S):
            folder = page.parent
            for line in re.sub(r"\\\n", " ", block).splitlines():
                try:
                    words = shlex.split(line, comments=True)
                except ValueError:
                    continue
                part: list[str] = []
                for word in [*words, ";"]:
                    if word in ("&&", "|", ";", "||"):
                        if part[:1] == ["cd"] or part[:1] == ["(cd"]:
                            folder = moved(folder, part[1])
                        elif part:
                            found.append((f"{page.relative_to(ROOT)}: {shlex.join(part)}", [str(folder), *part]))
                        part = []
                    else:
                        part.append(word)
    return found


def moved(folder: Path, where: str) -> Path:
    """As cd, from a recipe's folder or from the project's."""
    return next((path for path in (folder / where, ROOT / where) if path.is_dir()), folder)


@cache
def help_of(program: Path) -> str:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{ROOT / 'local'}:{os.environ['PATH']}",
        "COLUMNS": "80",
    }
    folder = program.parent
    if program.suffix == ".sh":
        command = ["bash", program.name]
    elif program.suffix == ".py":
        command = [sys.executable, str(program)]
    else:
        command, folder = [sys.executable, "-m", *program.parts], ROOT
    told = subprocess.run([*command, "--help"], cwd=folder, capture_output=True, text=True, env=environment)
    assert told.returncode == 0, told.stderr
    assert len(told.stdout.splitlines()) <= 50, f"{program}: its help does not fit a screen"
    return told.stdout


MARK = re.compile(r"(?:<!-- tests: ([\w/. ]+) -->|\*Not run by tests: \S.*\.\*\n)$")


def test_every_block_of_commands_is_run_by_tests_or_marked() -> None:
    """The comment above a block names tests that run its programs; a reader sees the line where none does."""
    blocks, wrong = 0, []
    for page in PAGES:
        if page.relative_to(ROOT).parts[0] not in ("README.md", "docs", "egs"):
            continue
        text = page.read_text(encoding="utf-8")
        for block in re.finditer(r"^```(?:sh|python)\n(.*?)^```", text, flags=re.S | re.M):
            blocks += 1
            mark = MARK.search(text[: block.start()].removesuffix("\n"))
            tests = [ROOT / "tests" / name for name in (mark[1] or "").split()] if mark else []
            if mark is None or not all(path.is_file() for path in tests):
                wrong.append(f"{page.relative_to(ROOT)}: {block[1].splitlines()[0]}")
    assert not wrong, "\n".join(wrong)
    assert blocks > 30


def test_commands_are_programs_with_these_options() -> None:
    checked, wrong = 0, []
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    for where, (folder, name, *arguments) in commands():
        if name == "make":
            wrong += [
                f"{where}: no such target {word}" for word in arguments if "=" not in word and word not in targets
            ]
            continue
        if name.startswith("./run") and name.endswith(".sh"):
            program = Path(folder) / name
            if not program.exists():
                if Path(folder).parent.name == "egs":
                    wrong.append(f"{where}: no such script")
                continue
        elif (ROOT / "local" / name).is_file():
            program = ROOT / "local" / name
        elif name == "sertools":
            program = Path(name, arguments[0])
        else:
            continue
        options = {word.split("=")[0] for word in arguments if re.match(r"--[a-z]", word)}
        told = help_of(program)
        wrong += [f"{where}: no option {option}" for option in options if not re.search(rf"{option}\b(?!-)", told)]
        checked += 1
    assert not wrong, "\n".join(wrong)
    assert checked > 40


def test_the_site_can_be_built(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="make env-docs")
    pytest.importorskip("furo", reason="make env-docs")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    index = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert 'href="own_corpus.html"' in index
    assert 'role="heading">' not in index, "a heading without a level"
    assert "EmoDB" in (tmp_path / "site/own_corpus.html").read_text(encoding="utf-8")
