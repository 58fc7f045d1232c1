"""The page: valid, self-contained, escaped, and it says what must be said."""

import dataclasses
import re

import numpy as np
import pytest
from inventions import Checker

from sertools.evaluation.score.report import About, confident_mistakes, draw, to_html
from sertools.evaluation.score.results import score
from sertools.runs.folder import Run
from sertools.runs.predictions import Predictions, make_predictions


def table(corpus: str = "iemocap", utterance: str = "u") -> Predictions:
    generator = np.random.default_rng(0)
    count = 24
    return make_predictions(
        ("a", "b"),
        utterances=[f"{utterance}{n}" for n in range(count)] * 2,
        speakers=[f"s{n % 4}" for n in range(count)] * 2,
        corpora=corpus,
        parts="test",
        folds=[f"f{n % 4 // 2}" for n in range(count)] * 2,
        seeds=[1] * count + [2] * count,
        labels=["a", "b", "b"] * (count * 2 // 3),
        outputs=generator.dirichlet([1, 1], 2 * count),
    )


def page(predictions: Predictions, about: About | None = None) -> str:
    about = about or About("exp")
    test = score(predictions)
    return to_html(about, test, None, predictions, draw(test, about.runs))


def test_page_is_well_formed_and_self_contained() -> None:
    runs = (Run("fold_x/seed_1", [{"epoch": 1, "train_loss": 1.0, "dev_ua": 0.5}], {"a": 1}), Run("fold_x/seed_2"))
    about = About("exp", "./run.sh", "Yesterday", "a: 1\n", "config.yaml", {"torch": "1"}, runs=runs)
    html = page(table(), about)
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    assert html.startswith("<!DOCTYPE html>\n")
    # folds, classes, confusion, calibration, training
    assert len(checker.addresses) == 5
    assert all(address.startswith("data:image/png;base64,") for address in checker.addresses)
    assert not {"link", "iframe"} & checker.tags
    assert "url(" not in html
    assert "@import" not in html
    assert "1 of 2 runs left no history" in html


def test_headline_and_definitions() -> None:
    predictions = table()
    results = score(predictions)
    html = page(predictions)
    assert results.of("UA").pooled.interval is not None
    for value in (results.of("UA").pooled.value, results.of("UA").folds.value, results.of("UA").pooled.interval.low):
        assert f"{100 * value:.1f}" in html
    assert "Mean of the recalls" in html
    assert "10,000 bootstrap draws of speakers" in html


@pytest.mark.parametrize(("corpus", "synthetic"), [("iemocap", False), ("iemocap-synthetic", True)])
def test_banner_of_synthetic_speech(corpus: str, synthetic: bool) -> None:
    html = page(table(corpus))
    assert ("SYNTHETIC SPEECH" in html) is synthetic
    assert ("(synthetic speech)</title>" in html) is synthetic


def test_everything_is_escaped() -> None:
    evil = "<script>alert('x')</script>&"
    about = About(evil, evil, evil, evil, evil, {evil: evil}, runs=(Run(evil, [{"epoch": 1, "dev_ua": 0.1}]),))
    html = page(table(corpus=evil, utterance=evil), about)
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;") > 10


def test_mistakes_are_those_that_all_seeds_share() -> None:
    rows = [
        # utterance, seed, label, probabilities of a, b, c
        ("sure", 1, "a", (0.05, 0.9, 0.05)), ("sure", 2, "a", (0.15, 0.8, 0.05)),
        ("less", 1, "b", (0.6, 0.3, 0.1)), ("less", 2, "b", (0.5, 0.3, 0.2)),
        ("once", 1, "a", (0.0, 1.0, 0.0)), ("once", 2, "a", (1.0, 0.0, 0.0)),
        ("torn", 1, "a", (0.0, 1.0, 0.0)), ("torn", 2, "a", (0.0, 0.0, 1.0)),
        ("fine", 1, "c", (0.0, 0.0, 1.0)), ("fine", 2, "c", (0.0, 0.0, 1.0)),
    ]  # fmt: skip
    predictions = make_predictions(
        ("a", "b", "c"),
        utterances=[row[0] for row in rows],
        speakers="s",
        corpora="c",
        parts="test",
        folds="f",
        seeds=[row[1] for row in rows],
        labels=[row[2] for row in rows],
        outputs=[row[3] for row in rows],
    )
    mistakes = confident_mistakes(predictions)
    assert [mistake.utterance for mistake in mistakes] == ["sure", "less"]
    first = dataclasses.asdict(mistakes[0])
    assert first == {
        "utterance": "sure", "speaker": "s", "fold": "f", "label": "a", "recognised": "b",
        "probability": pytest.approx(0.85), "probability_true": pytest.approx(0.1),
    }  # fmt: skip
    assert len(confident_mistakes(predictions, limit=1)) == 1


def test_page_without_common_mistakes_says_so() -> None:
    predictions = table()
    right = np.eye(2)[predictions.labels]
    html = page(dataclasses.replace(predictions, outputs=right))
    assert "No utterance was taken for the same wrong class" in html
    assert re.search(r"The runs left no configuration", html)
