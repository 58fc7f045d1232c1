"""The model that comes with the package: egs/packaged/run.sh trains it, local/package_model.py writes it here."""

from pathlib import Path

from sertools.errors import UserError

NAME = "four"
CARD = "CARD.md"
TESTED = "tested.csv"
"""In a model's folder: the test predictions of all folds of its recipe, each by a network that had not heard them."""


def packaged_model(name: str = NAME) -> Path:
    """The folder of the run.

    Raises:
        UserError: this copy of the package has none.
    """
    folder = Path(__file__).parent / name
    if not (folder / "checkpoint").is_dir():
        raise UserError(
            f"{folder} has no model: this copy of the package came without it; give --experiment, or train one "
            "(egs/packaged)"
        )
    return folder


def find_model(text: str) -> Path:
    """The folder of a packaged model by its name, or the folder that is named.

    Raises:
        UserError: there is neither.
    """
    if "/" not in text and (Path(__file__).parent / text / "checkpoint").is_dir():
        return packaged_model(text)
    if not Path(text).is_dir():
        raise UserError(f"{text} is no packaged model ({NAME}) and no folder of an experiment; correct the name")
    return Path(text)


def about() -> str:
    """Its card, Markdown."""
    return (packaged_model() / CARD).read_text(encoding="utf-8")
