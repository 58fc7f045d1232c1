"""A copy of a recipe in a temporary folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from recipe_copy import Recipe, copy_recipe


@pytest.fixture
def recipe(tmp_path: Path, quick: str) -> Callable[[str], Recipe]:
    """Make a copy of the recipe called so, whose programs start at once."""
    return lambda name: copy_recipe(tmp_path / "project", name, quick)
