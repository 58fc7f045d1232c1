"""Pages in a browser: rules of accessibility, wide and narrow windows, keys; what the scripts of pages do."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import PROGRAM, Chromium, axe
from invented_experiments import invented_folds, write_experiment
from inventions import pushed

from sertools.evaluation.compare.comparing import Source, compare_experiments
from sertools.evaluation.overview.finding import look
from sertools.evaluation.overview.page import to_html
from sertools.evaluation.score.scoring import evaluate
from sertools.runs.predictions import read_predictions, write_predictions

RULES = axe()
pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed"),
    pytest.mark.skipif(RULES is None, reason="axe-core-python is not installed (make env-serve)"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report, a comparison and the page of all experiments."""
    folder, folds = tmp_path_factory.mktemp("pages"), invented_folds()
    first = write_experiment(folder / "exp/first", folds, seeds=(0,))
    for path in sorted(first.glob("*/*/predictions.csv")):
        other = folder / "exp/second" / path.relative_to(first)
        write_predictions(other, pushed(read_predictions(path), 1.5, seed=1))
    evaluate(first, folder / "report", folds)
    sources = [Source(name, {name: folder / "exp" / name}) for name in ("first", "second")]
    compare_experiments(sources, folder / "comparison", folds)
    (folder / "experiments.html").write_text(to_html(look(folder / "exp"), "invented"), encoding="utf-8")
    return folder


SHOWN = """[...document.querySelectorAll('.hint')].map(hint => {
    const box = hint.nextElementSibling;
    return [getComputedStyle(hint).display !== 'none', box.scrollWidth > box.clientWidth + 1, box.clientWidth > 0];
})"""


@pytest.mark.parametrize("name", ["report/report.html", "comparison/comparison.html", "experiments.html"])
def test_pages_are_accessible_and_fit(browser: Chromium, pages: Path, name: str) -> None:
    for width in (1280, 420):
        browser.size(width)
        browser.open((pages / name).as_uri())
        assert browser.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        hints = [(told, scrolls) for told, scrolls, there in browser.run(SHOWN) if there]
        assert hints
        assert [told for told, _ in hints] == [scrolls for _, scrolls in hints], "a hint stands where a table scrolls"
        assert width > 420 or any(told for told, _ in hints)
        assert browser.violations(str(RULES)) == []
    assert browser.problems == []


def test_experiments_are_sorted_filtered_and_compared_by_keys(browser: Chromium, pages: Path) -> None:
    browser.size(1280)
    browser.open((pages / "experiments.html").as_uri())
    rows = "[...document.querySelectorAll('#all tbody tr')].filter(r => !r.hidden).map(r => r.cells[0].textContent)"
    assert browser.run(rows) == ["first", "second"]
    browser.run("[...document.querySelectorAll('#all thead button')].find(b => b.textContent === 'UA').focus()")
    browser.key("Enter", text="\r")
    assert browser.run("document.activeElement.parentElement.getAttribute('aria-sort')") == "descending"
    assert browser.run(rows) == ["second", "first"]
    browser.run("document.getElementById('filter').focus()")
    browser("Input.insertText", text="fir")
    assert browser.run(rows) == ["first"]
    assert browser.run("document.getElementById('count').textContent") == "1 of 2"
    pairs = json.loads(browser.run("document.getElementById('data').textContent"))["pairs"]
    told = "document.getElementById('told').textContent"
    assert pairs["0,1"]["verdict"] in browser.run(told)
    browser.run("document.getElementById('second').focus()")
    browser.key("f")
    browser.until(f"{told} === 'Choose two different ones.'")
