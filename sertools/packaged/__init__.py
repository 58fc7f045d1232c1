"""The model that comes with the package: egs/packaged/run.sh trains it, local/package_model.py writes it here."""

from pathlib import Path

from sertools.errors import UserError

NAME = "four"
CARD = "CARD.md"


def packaged_model() -> Path:
    """The folder of the run.

    Raises:
        UserError: this copy of the package has none.
    """
    folder = Path(__file__).parent / NAME
    if not (folder / "checkpoint").is_dir():
        raise UserError(
            f"{folder} has no model: this copy of the package came without it; give --experiment, or train one "
            "(egs/packaged)"
        )
    return folder


def about() -> str:
    """Its card, Markdown."""
    return (packaged_model() / CARD).read_text(encoding="utf-8")
