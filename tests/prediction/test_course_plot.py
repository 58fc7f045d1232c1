"""Where pictures go."""

from pathlib import Path

import pytest

from sertools.prediction.course_plot import plot_path


@pytest.mark.parametrize(
    ("name", "common", "expected"),
    [
        ("a.wav", "", "a.wav.png"), ("-", "", "stdin.png"), ("/x/y/a.wav", "/x", "y/a.wav.png"),
        ("/x/y/a.wav", "", "x/y/a.wav.png"), ("../../a", "", "a.png"), ("a/../../b", "", "a/b.png"),
        ("..", "", "unnamed.png"), ("/", "", "unnamed.png"),
    ],
)  # fmt: skip
def test_pictures_stay_in_their_folder(name: str, common: str, expected: str) -> None:
    assert plot_path("plots", name, common) == Path("plots") / expected
