"""Kinds of bad input: each is refused in a sentence, and docs/errors.md says what it is."""

import sys
from pathlib import Path

import pytest

BAD_INPUT = Path(__file__).parents[1] / "bad_input"
sys.path.append(str(BAD_INPUT))

import material  # noqa: E402
from cases import CASES, Case  # noqa: E402
from runner import Programs, outcome  # noqa: E402
from table import page, row  # noqa: E402

PAGE = BAD_INPUT.parents[1] / "docs/errors.md"


@pytest.fixture(scope="module")
def programs(quick: str) -> Programs:
    return Programs(quick)


@pytest.fixture(scope="module")
def good(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the cases change for the worse."""
    folder = tmp_path_factory.mktemp("material") / "good"
    material.make(folder, programs)
    return folder


def parameters() -> list[object]:
    """Those of a run.sh are marked."""
    return [pytest.param(case, id=case.did, marks=[pytest.mark.recipe] if case.recipe else []) for case in CASES]


@pytest.mark.parametrize("case", parameters())
def test_bad_input(case: Case, request: pytest.FixtureRequest, programs: Programs, tmp_path: Path) -> None:
    made = tmp_path if case.recipe else request.getfixturevalue("good")
    ended, said = outcome(case, programs, made, tmp_path / "case")
    assert ended.code == case.code, said
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "error" in said or "command not found" in said or "path.sh" in said
    assert str(tmp_path) not in said
    assert row(case, said) in PAGE.read_text(encoding="utf-8").splitlines(), f"docs/errors.md is of old; now: {said}"


def test_the_page_is_of_these_cases() -> None:
    """Every line of the page is a case, in their order, or what the page always says."""

    def skeleton(text: str) -> list[str]:
        return [line.split(" | ")[0] for line in text.splitlines()]

    text = PAGE.read_text(encoding="utf-8")
    assert skeleton(text) == skeleton(page([(case, "") for case in CASES]))
    assert len(CASES) >= 60
