"""transformers, imported where it is used: offline, quiet, without code of others."""

import contextlib
import os
import warnings
from collections.abc import Iterator
from typing import Any

from sertools.errors import MissingPackage, UserError

_SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def transformers_for(what: str) -> Any:
    """The package.

    Args:
        what: that needs it, for the message.

    Raises:
        MissingPackage: it is not installed.
        UserError: it is, but not with this torch.
    """
    os.environ.update(_SETTINGS)
    try:
        import transformers
    except ImportError as error:
        if error.name and error.name.split(".")[0] == "transformers":
            raise MissingPackage("transformers", what, "make env-ssl (make env-ssl-modern) adds it.") from error
        raise UserError(f"transformers cannot be imported: {error}; add it anew: make env-ssl") from error
    if not transformers.is_torch_available():
        raise UserError(
            f"transformers {transformers.__version__} does not run with this torch; "
            "make env-ssl (make env-ssl-modern) adds the version that does"
        )
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


@contextlib.contextmanager
def understood(what: str) -> Iterator[None]:
    """Whatever another library says of files that do not fit together, in a sentence.

    Raises:
        UserError: for any exception but our own.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        told = str(error).strip().splitlines() or [""]
        raise UserError(
            f"{what} cannot be loaded: its files do not fit together, or are damaged "
            f"({type(error).__name__}: {told[0][:200]}); get the folder again"
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without warnings that nobody can act on, and without a step of torch's random numbers."""
    import torch

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        yield
