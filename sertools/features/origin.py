"""Whether cuts have the features that a model was trained on."""

import logging
from typing import Any

from sertools.errors import UserError

log = logging.getLogger(__name__)

PLACE_ONLY = ("engine", "device")
"""Settings that say where features are computed, and change no value."""


def check_origin(trained: Any, found: Any, where: str, model: str) -> None:
    """Compare what made the features that a model was trained on with what made those of some cuts.

    Every kind of features that the model was trained on must be there with the same settings; or, where a
    network or an i-vector model made it, made by the same.  A warning where that is not recorded.

    Args:
        trained, found: what :func:`sertools.provenance.made_with` gave for the training cuts, and for these.
        where, model: what they are called in messages.

    Raises:
        UserError: features of another kind, of other settings, or by another model.
    """
    wanted, own = kinds_of(trained), kinds_of(found)
    if not _computed(wanted) or not _computed(own):
        log.warning("what features %s has is not recorded, so whether %s has those that %s was trained on is not "
                    "checked", where if _computed(wanted) else model, where, model)  # fmt: skip
    else:
        missing = [name for name in _computed(wanted) if name not in own]
        if missing:
            raise UserError(
                f"{where} has {', '.join(_computed(own))} features, but {model} was trained on {missing[0]}; "
                "make the features with the configuration of its recipe"
            )
        for name, settings in _computed(wanted).items():
            for key in sorted((settings.keys() | own[name].keys()) - set(PLACE_ONLY)):
                if settings.get(key) != own[name].get(key):
                    raise UserError(
                        f"{where} has {name} features with {key} {own[name].get(key)}, but {model} was trained on "
                        f"{key} {settings.get(key)}; make the features with the configuration of its recipe"
                    )
    for name, settings in wanted.items():
        if "model" in settings and name in own and own[name].get("model") != settings["model"]:
            raise UserError(
                f"{where} has {name} features of another model ({str(own[name].get('model'))[:12]}) than {model} was "
                f"trained on ({settings['model'][:12]}); extract them with that one"
            )


def kinds_of(made: Any) -> dict[str, dict[str, Any]]:
    """Kind to settings, of all features that are on cuts, out of what made_with gives for them."""
    from sertools.features.kinds import KINDS  # whose kinds check their own origin

    found: dict[str, dict[str, Any]] = {}
    while isinstance(made, dict):
        for name, settings in made.items():
            if isinstance(settings, dict) and name in KINDS:
                found.setdefault(name, settings)
        made = made.get("features")
    return found


def _computed(kinds: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Those that settings alone determine, not a model."""
    return {name: settings for name, settings in kinds.items() if "model" not in settings}
