"""Targets: any field by class, bins with their edges, numbers."""

from types import SimpleNamespace
from typing import Any

import pytest

from sertools.config import from_dict
from sertools.errors import UserError
from sertools.partitions.labelling import TargetConfig, label


def said(values: list[Any], name: str = "arousal", **more: Any) -> list[Any]:
    return [
        SimpleNamespace(id=f"u{n}", speaker=f"s{n % 2}", gender="female", custom={name: value} | more)
        for n, value in enumerate(values)
    ]


def config(**values: Any) -> TargetConfig:
    return from_dict(TargetConfig, values)


S5 = {"field": "arousal", "classes": ["low", "middle", "high"], "edges": [3, 5], "edge_belongs": ["below", "above"]}


def test_s5s_bins_with_what_lies_on_their_edges() -> None:
    """Low is [1, 3], middle (3, 5), high [5, 7]; ratings are means that tables round."""
    found = label(said([1, 3, 3.0004, 3.2, 4.9, 5, 4.9996, 7]), config(**S5))
    assert list(found.labels.values()) == ["low", "low", "low", "middle", "middle", "high", "high", "high"]
    assert found.target.classes == ("low", "middle", "high")
    assert "4 lie on an edge" in found.notes[0]


def test_a_scale_of_five_is_brought_to_seven() -> None:
    """IEMOCAP's 1 to 5: 1 + 1.5 (x - 1)."""
    scales = {"scale": [1, 5], "rescale": [1, 7]}
    numbers = label(said([1, 2, 3, 5]), config(field="arousal", kind="number", **scales))
    assert list(numbers.labels.values()) == [1.0, 2.5, 4.0, 7.0]
    assert (numbers.target.low, numbers.target.high) == (1.0, 7.0)
    bins = label(said([1, 7 / 3, 3, 11 / 3]), config(**S5, **scales))
    assert list(bins.labels.values()) == ["low", "low", "middle", "high"]


def test_classes_of_any_field() -> None:
    people = label(said([1, 2, 3]), config(field="speaker"))
    assert people.target.classes == ("s0", "s1")
    merged = label(said(["a", "b", "c", "d"], "style"),
                   config(field="style", classes=["x", "y"], labels={"a": "x", "b": "x", "c": "y"}))  # fmt: skip
    assert merged.labels == {"u0": "x", "u1": "x", "u2": "y"}
    assert "1 utterances of style 'd' take no part" in merged.notes


@pytest.mark.parametrize(
    ("values", "settings", "message"),
    [
        ([1, None], {"field": "arousal", "kind": "number"}, "1 utterances have no arousal .the first: u1."),
        ([1, "loud"], {"field": "arousal", "kind": "number"}, "is 'loud', which is no number"),
        ([1, 9], {"field": "arousal", "kind": "number", "scale": [1, 5]}, "is 9, outside of its scale 1 to 5"),
        (["Sad", "sad"], {"field": "arousal"}, "'Sad' .1. and 'sad' .1. of arousal differ in their letters' case"),
        (["sad", "sad"], {"field": "arousal"}, "has one value, 'sad'"),
        (["sad", "glad"], {"field": "arousal", "classes": ["sad", "mad"]}, "no utterance has arousal mad; found: sad"),
        ([1, 2], S5, "in the bin middle, high"),
        ([None], {"field": "arousal", "skip_missing": True}, "no utterance has a field arousal"),
    ],
)
def test_what_cannot_be_a_target_is_said(values: list[Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        label(said(values), config(**settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "number", "classes": ["a", "b"]}, "has no classes"),
        ({"edges": [1], "classes": ["a"]}, "1 edges make 2 classes"),
        ({"edges": [2, 1], "classes": ["a", "b", "c"]}, "must ascend"),
        ({"rescale": [1, 7]}, "rescale needs scale"),
        ({"scale": [5, 1]}, "must ascend"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config(**settings)


def test_missing_values_are_left_out_by_option_alone() -> None:
    found = label(said([1, None, float("nan"), 2]), config(field="arousal", kind="number", skip_missing=True))
    assert found.labels == {"u0": 1.0, "u3": 2.0}
    assert found.notes == ("2 utterances without arousal take no part",)
