"""What several tests of evaluation share: a checker of pages, and another system out of one."""

import dataclasses
from html.parser import HTMLParser

import numpy as np

from sertools.runs.predictions import Predictions

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Checker(HTMLParser):
    """Refuses tags that are not closed in order; collects addresses and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def pushed(table: Predictions, by: float, seed: int = 0, noise: float = 0.8) -> Predictions:
    """Another system: noise, and the true class made more (or less) probable."""
    scores = np.log(table.probabilities) + np.random.default_rng(seed).normal(0, noise, table.probabilities.shape)
    scores[np.arange(len(table)), table.labels] += by
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return dataclasses.replace(table, outputs=probabilities)
