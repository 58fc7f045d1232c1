"""Pages of papers: the files of all five, numbers in their cells, what was not run, other corpora."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inventions import Checker

from sertools.config import load_config
from sertools.errors import UserError
from sertools.evaluation.paper.expanding import expand
from sertools.evaluation.paper.figures import FIGURES, amounts, better_points
from sertools.evaluation.paper.found import Found
from sertools.evaluation.paper.making import JSON, PAGE, TEXT, knows, make_page
from sertools.evaluation.paper.published import Paper
from sertools.evaluation.paper.tested import pairs_of
from sertools.evaluation.score.plots import new_figure, png

PAPER = """
paper: S9
title: an invented one
corpus: iemocap
tables:
  - title: Table 1
    protocol: [paper, strict]
    columns:
      - {title: UA, metric: ua, of: pooled}
      - {title: first fold, metric: ua, of: Session1}
      - {title: sd, metric: ua, of: within_folds}
      - {title: WER, extra: words, value: after}
    rows:
      - {title: one, system: "s9:a", published: [61.5, 60]}
      - {title: other, system: s9_b}
    remarks: [said of the table]
figures:
  - {title: confusions, kind: confusion, systems: ["s9:a"]}
departures: [said of the paper]
"""


def results(corpus: str = "iemocap", ua: float = 0.6, dependent: bool = False) -> dict[str, Any]:
    metric = {"name": "UA", "pooled": {"value": ua, "interval": {"low": ua - 0.1, "high": ua + 0.1}},
              "folds": {"value": ua, "interval": None, "sd_folds": 0.05}}  # fmt: skip
    return {
        "corpus": corpus, "speaker_dependent": dependent, "metrics": [metric], "classes": ["angry", "sad"],
        "seeds": [1],
        "by_fold": [{"name": "Session1", "values": {"UA": 0.55}}], "confusion_shares": [[0.7, 0.3], [0.2, 0.8]],
    }  # fmt: skip


def comparison(directory: Path, **more: Any) -> Path:
    directory.mkdir()
    systems = [{"name": name, "test": results(**more)} for name in ("s9:a", "s9_b")]
    (directory / "comparison.json").write_text(json.dumps({"systems": systems, "remarks": ["told the words"]}))
    return directory


def scored(directory: Path) -> Path:
    (directory / "results").mkdir(parents=True)
    words = [{"scope": "all", "name": "all", "before": 0.4, "after": 0.357}]
    values = {"test": results(), "words": words, "remarks": []}
    (directory / "results/results.json").write_text(json.dumps(values))
    return directory


def test_curves_stand_on_the_page_with_what_they_say(paper: Paper, tmp_path: Path) -> None:
    found = Found()
    found.add_comparison("strict", comparison(tmp_path / "comparison"))
    (tmp_path / "curve").mkdir()
    table = {"header": ["system"], "rows": []}
    values = {"claims": ["8 examples of a match 16 of b."], "points": table, "comparisons": table}
    (tmp_path / "curve/curve.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"curve.png does not exist; .*stage of learning curves"):
        found.add_curves(tmp_path / "curve")
    (tmp_path / "curve/curve.png").write_bytes(png(new_figure(1, 1)[0]))
    found.add_curves(tmp_path / "curve")
    files = make_page(paper, found, tmp_path / "out")
    assert "curve0.png" in files
    assert "<li>8 examples of a match 16 of b.</li>" in (tmp_path / "out" / PAGE).read_text()
    assert "  8 examples of a match 16 of b." in (tmp_path / "out" / TEXT).read_text()


@pytest.fixture
def paper(tmp_path: Path) -> Paper:
    (tmp_path / "s9.yaml").write_text(PAPER)
    return load_config(Paper, tmp_path / "s9.yaml")


def test_numbers_stand_beside_the_published_ones(paper: Paper, tmp_path: Path) -> None:
    found = Found()
    found.add_experiment("strict", "s9:a", scored(tmp_path / "exp"))
    found.add_comparison("strict", comparison(tmp_path / "comparison"))
    files = make_page(paper, found, tmp_path / "out", "./run_s9.sh")
    assert set(files) >= {PAGE, TEXT, JSON, "figure0.png"}
    assert "amount of training data" not in (tmp_path / "out" / PAGE).read_text()
    row, other = json.loads((tmp_path / "out" / JSON).read_text())["tables"][0]["rows"]
    assert [cell["published"] for cell in row["cells"]] == [61.5, 60, None, None]
    assert [cell["ours"]["value"] for cell in row["cells"]] == [0.6, 0.55, 0.05, 0.357]
    assert row["cells"][0]["ours"]["low"] == 0.5
    # of this system no word errors were given
    assert other["cells"][3]["ours"] is None
    text = (tmp_path / "out" / TEXT).read_text()
    assert "published  61.5   here 60.0 (50.0 to 70.0)" in text
    page = (tmp_path / "out" / PAGE).read_text()
    Checker().feed(page)
    for words in ("said of the table", "said of the paper", "told the words", "./run_s9.sh"):
        assert words in page
    assert "another corpus" not in page


def test_pairs_have_their_p_and_the_gap_between_protocols_is_a_column(tmp_path: Path) -> None:
    directory = comparison(tmp_path / "c", ua=0.6)
    values = json.loads((directory / "comparison.json").read_text())

    def tested(first: str, second: str, p: float) -> dict[str, Any]:
        others = [{"name": "all data", "p": p / 2}, {"name": "sorted runs", "p": 1.0}]
        return {"first": first, "second": second, "t_test": {"p": p, "difference": 0.02}, "t_tests": others}

    values |= {"comparisons": [tested("s9:a", "s9_b", 0.02), tested("s9:a", "s9_c", 0.03)], "ratio": 0.125}
    (directory / "comparison.json").write_text(json.dumps(values))
    pairs = """
tests:
  - title: Tests
    protocol: [none, paper]
    pairs:
      - {system: s9_b, against: "s9:a", published: {msp_improv: 0.5, iemocap: 0.01}}
      - {system: "s9:a", against: s9_c, published: 0.2}
      - {system: s9_b, against: s9_d}
    remarks: [said of the tests]
"""
    column = "      - {title: gap, metric: ua, of: pooled, protocol: paper, minus: strict}\n    rows:"
    (tmp_path / "s9.yaml").write_text(PAPER.replace("    rows:", column, 1) + pairs)
    paper, found = load_config(Paper, tmp_path / "s9.yaml"), Found()
    found.add_comparison("paper", directory)
    found.add_comparison("strict", comparison(tmp_path / "strict", ua=0.45))
    make_page(paper, found, tmp_path / "out")
    told = json.loads((tmp_path / "out" / JSON).read_text())
    assert told["tests"][0]["pairs"] == [
        {"system": "s9_b", "against": "s9:a", "published": 0.01, "difference": 0.02, "p": 0.02, "p_holm": 0.04,
         "p_all_data": 0.01},
        {"system": "s9:a", "against": "s9_c", "published": 0.2, "difference": -0.02, "p": 0.03, "p_holm": 0.04,
         "p_all_data": 0.015},
        {"system": "s9_b", "against": "s9_d", "published": None, "difference": None, "p": None, "p_holm": None,
         "p_all_data": None},
    ]  # fmt: skip
    gap = told["tables"][0]["rows"][0]["cells"][4]["ours"]
    assert gap == {"value": pytest.approx(0.15), "low": None, "high": None, "scale": 100.0, "p": None, "signed": True}
    text = (tmp_path / "out" / TEXT).read_text()
    assert "s9_b against s9:a: published p 0.01, here +2.0, p 0.02, by Holm 0.04; at 10 degrees of freedom 0.01" in text
    assert "here +15.0" in text
    page = (tmp_path / "out" / PAGE).read_text()
    Checker().feed(page)
    for words in ("said of the tests", "<b>+15.0</b>", "by Holm"):
        assert words in page
    assert [line.published for line in pairs_of(paper.tests[0], found, "ravdess", True)] == [0.5, 0.2, None]


def test_what_another_corpus_or_protocol_means(paper: Paper, tmp_path: Path) -> None:
    found = Found()
    found.add_comparison("strict", comparison(tmp_path / "c", corpus="ravdess-synthetic", dependent=True))
    make_page(paper, found, tmp_path / "out")
    page = (tmp_path / "out" / PAGE).read_text()
    for words in ("are of another corpus", "SYNTHETIC SPEECH", "SPEAKER-DEPENDENT (protocol strict)"):
        assert words in page
    elsewhere = Found()
    elsewhere.add_comparison("random", comparison(tmp_path / "d"))
    assert not knows(paper, elsewhere)
    with pytest.raises(UserError, match="none of S9's systems"):
        make_page(paper, elsewhere, tmp_path / "no")
    elsewhere.add_comparison("strict", comparison(tmp_path / "e", corpus="msp_improv"))
    with pytest.raises(UserError, match="of one corpus; these results are of iemocap, msp_improv"):
        make_page(paper, elsewhere, tmp_path / "no")
    with pytest.raises(UserError, match=r"local/compare\.py"):
        found.add_comparison("paper", tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda v: v.pop("systems"),
            "comparison.json has no 'systems'; it is damaged, or of an older version: make it",
        ),
        (lambda v: v.update(systems=[None]), r"systems\[0\] must be an object"),
        (lambda v: v["systems"][0]["test"].pop("metrics"), r"systems\[0\]: test has no 'metrics'"),
        (lambda v: v["systems"][0]["test"]["metrics"][0].update(pooled=3), "pooled must be an object"),
        (lambda v: v.update(comparisons={}), "comparisons must be a list"),
    ],
)
def test_comparisons_that_are_damaged(tmp_path: Path, change: Callable[[Any], Any], message: str) -> None:
    path = comparison(tmp_path / "c") / "comparison.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=message):
        Found().add_comparison("strict", path.parent)


def test_the_five_papers_are_sound(root: Path) -> None:
    for path in sorted((root / "egs/common/papers").glob("*.yaml")):
        paper = load_config(Paper, path)
        assert paper.paper == path.stem.upper()
        assert all(figure.kind in {*FIGURES, "amounts"} for figure in paper.figures)
        for table in paper.tables:
            for row in table.rows:
                lists = row.published.values() if isinstance(row.published, dict) else [row.published]
                assert all(len(one) <= len(table.columns) for one in lists), row


def test_figures_of_what_runs_left() -> None:
    left = {
        "epochs": [{"epoch": n, "runs": 1, "metric": "UA", "dev": 0.4, "test": 0.3} for n in (1, 2)],
        "layers": [{"layer": "conv_block1.conv1.weight", "kind": "convolution", "best": 0.1, "last": 0.2},
                   {"layer": "fc1.weight", "kind": "linear", "best": 0.1, "last": 0.2},
                   {"layer": "bn0.weight", "kind": "batch norm", "best": 0.1, "last": 0.2}],
    }  # fmt: skip
    for kind in (*left, "network"):
        drawn = FIGURES[kind]("a title", [("a", results(), left), ("b", results(), {})])
        assert drawn is not None
        assert drawn.startswith(b"\x89PNG")
        assert FIGURES[kind]("a title", [("b", results(), {})]) is None


def test_a_figure_over_protocols(tmp_path: Path) -> None:
    def point(ua: float, p: float | None) -> tuple[str, Any, Any]:
        gain = None if p is None else {"t_test": {"p": p, "difference": ua - 0.6}}
        return "1", results(ua=ua), gain

    lines = {"dnn": [point(0.6, None), point(0.62, None)], "prognet": [point(0.66, 0.01), point(0.5, 0.01)]}
    assert (amounts("gain", lines) or b"").startswith(b"\x89PNG")
    assert amounts("gain", {"dnn": lines["dnn"][:1], "other": [("1", None, None)]}) is None
    assert better_points(lines) == {("prognet", 0)}
    # p of all points of the figure are corrected together, and one without a test is passed over
    lines["ptft"] = [point(0.66, 0.02), ("2", results(), {"t_test": None})]
    assert better_points(lines) == {("prognet", 0), ("ptft", 0)}
    lines["other"] = [point(0.66, 0.03), point(0.66, 0.4)]  # 5 times 0.01
    assert better_points(lines) == set()
    # out of comparisons, on the page
    found = Found()
    for protocol in ("few", "many"):
        directory = comparison(tmp_path / protocol)
        values = json.loads((directory / "comparison.json").read_text())
        values["comparisons"] = [
            {"first": "s9:a", "second": "s9_b", "t_test": {"p": 0.01, "difference": 0.1}},
            {"first": "s9_b", "second": "s9_c", "t_test": {"p": 0.01, "difference": 0.1}},
        ]
        (directory / "comparison.json").write_text(json.dumps(values))
        found.add_comparison(protocol, directory)
    assert set(found.differences) == {("few", "s9_b"), ("many", "s9_b")}
    over = "over: {few: '1', many: '8'}"
    text = PAPER.replace(
        "{title: confusions, kind: confusion, systems", f"{{title: amounts, kind: amounts, {over}, systems"
    )
    (tmp_path / "over.yaml").write_text(text.replace("[paper, strict]", "many"))
    assert "figure0.png" in make_page(load_config(Paper, tmp_path / "over.yaml"), found, tmp_path / "page")
    (tmp_path / "bad.yaml").write_text(text.replace(f"{over}, ", ""))
    with pytest.raises(UserError, match="kind amounts"):
        load_config(Paper, tmp_path / "bad.yaml")


def test_a_system_of_one_layer_has_the_row_of_the_system() -> None:
    found = Found()
    found.systems = {("p", "s9:2"): {"one": 1}, ("p", "s9_b"): {"other": 1}}
    assert found.lookup("p", "s9")[0] == {"one": 1}
    assert found.lookup("p", "s9:2")[0] == {"one": 1}
    assert found.lookup("p", "s9:3") is None
    found.systems["p", "s9:3"] = {"two": 1}
    assert found.lookup("p", "s9") is None  # which of the two?


STARS = """
paper: S9
title: an invented one
corpus: iemocap
tables:
  - title: Table 1
    protocol: [bins, "*"]
    columns: [{title: UAR, metric: ua, of: pooled}, {title: over random, metric: ua, of: gain}]
    rows:
      - {title: random, system: random, published: [68.8]}
      - {title: a, system: from_a_all, published: [60.1]}
      - {title: "* (own)", system: "from_*_all"}
      - {title: "* linear", system: "from_*_linear"}
figures:
  - {title: intervals, kind: intervals, protocol: [bins, "*"], systems: [random, from_a_all, "from_*_all"]}
"""


def stars(tmp_path: Path) -> Paper:
    (tmp_path / "stars.yaml").write_text(STARS)
    return load_config(Paper, tmp_path / "stars.yaml")


def compared(directory: Path, *names: str, metric: str = "UA") -> Path:
    directory.mkdir()
    one = results()["metrics"][0] | {"name": metric}
    systems = [{"name": name, "test": results() | {"metrics": [one]}} for name in names]
    pooled = {"value": 0.034, "interval": {"low": -0.01, "high": 0.078}}
    metrics = [{"name": metric, "pooled": pooled, "permutation_holm": 0.2}]
    gains = [{"first": names[0], "second": name, "metrics": metrics} for name in names[1:]]
    (directory / "comparison.json").write_text(json.dumps({"systems": systems, "comparisons": gains}))
    return directory


def test_any_protocol_and_any_system(tmp_path: Path) -> None:
    paper, found = stars(tmp_path), Found()
    found.add_comparison("four", compared(tmp_path / "c", "random", "from_mine_all", "from_a_all", "from_b_c_linear"))
    assert knows(paper, found)
    (table,), (figure,) = expand(paper, found).tables, expand(paper, found).figures
    assert (table.title, table.protocol, table.elsewhere) == ("Table 1 (here: four)", "four", True)
    assert [(row.title, row.system) for row in table.rows[2:]] == [
        ("mine (own)", "from_mine_all"), ("b_c linear", "from_b_c_linear"),
    ]  # fmt: skip
    assert figure.systems == ["random", "from_a_all", "from_mine_all"]
    assert "figure0.png" in make_page(paper, found, tmp_path / "out")
    text = (tmp_path / "out" / TEXT).read_text()
    assert "here +3.4 (-1.0 to +7.8), p 0.200" in text
    assert "Published for bins, and here of four: the published numbers (grey) are no goal." in text
    page = (tmp_path / "out" / PAGE).read_text()
    Checker().feed(page)
    assert '<div class="scroll elsewhere"' in page
    assert "<b>+3.4</b><span>-1.0 to +7.8, p 0.200</span>" in page
    # the paper's own protocol first, as it is
    found.add_comparison("bins", compared(tmp_path / "d", "random", "from_a_all"))
    first, second = expand(paper, found).tables
    assert (first.title, first.protocol, first.elsewhere) == ("Table 1", ["bins"], False)
    assert [row.system for row in first.rows] == ["random", "from_a_all"]
    assert second.protocol == "four"
    # without the stars, as it was
    assert expand(Paper("S9", "t", []), found) == Paper("S9", "t", [])


def test_a_number_has_its_own_metric(tmp_path: Path) -> None:
    paper, found = stars(tmp_path), Found()
    found.add_comparison("arousal", compared(tmp_path / "c", "random", "from_mine_all", metric="CCC"))
    make_page(paper, found, tmp_path / "out")
    text = (tmp_path / "out" / TEXT).read_text()
    assert "CCC                                published  68.8   here 0.600 (0.500 to 0.700)" in text
    assert "here +0.034 (-0.010 to +0.078), p 0.200" in text
    assert FIGURES["intervals"](
        "a title", [("a", results() | {"metrics": [results()["metrics"][0] | {"name": "CCC"}]}, {})]
    )


def test_a_remark_is_said_once_of_all_its_systems() -> None:
    found = Found()
    found.remarks = {"p": ["a, b: made of X", "told the words"], "q": ["a: made of X"]}
    found.alone = [("b", "made of X"), ("c", "made of X"), ("a", "told the words"), ("c", "scored twice")]
    assert found.all_remarks() == ["told the words", "b, c, a: made of X", "c: scored twice"]
