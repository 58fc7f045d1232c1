"""A copy of a recipe in a temporary folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from recipe_copy import Recipe, copy_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str], Recipe]:
    """Make a copy of the recipe called so."""
    return lambda name: copy_recipe(tmp_path / "project", name)
