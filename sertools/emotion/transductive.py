"""What a system is told of the speech it is tested on, in sentences that every output of its results carries."""

from typing import Any

from sertools.provenance import stage_settings

BY_SPEAKER = (
    "NORMALISED BY SPEAKER: features have mean 0 and variance 1 over each speaker's own utterances (no labels), "
    "so several utterances of a tested speaker are known at once"
)
REMEMBERED = (
    "I-VECTORS REMEMBER SPEAKERS: the i-vector of a tested utterance has heard other utterances of its speaker "
    "({how}), no labels"
)
HEARD_WORDS = (
    "PRETRAINED ON {corpus}, on which it is tested: the network has learnt from what was said there, not how, and may "
    "have heard the speakers who are tested"
)
HEARD_LABELS = (
    "PRETRAINED ON {corpus}, on which it is tested, AND ON ITS LABELS: the network has learnt {labels} of utterances "
    "there beside what was said, and may have been told those of utterances and speakers who are tested"
)
REFERENCE = "TESTED WITH REFERENCE TRANSCRIPTS: told what was said, so no recognition of emotion from speech alone"


def of_ivectors(features: Any) -> list[str]:
    """The sentence for i-vectors that hear more of a speaker than an utterance, if they do.

    ``features`` is what :func:`sertools.provenance.made_with` says of cuts.
    """
    settings = stage_settings(features, "ivector") or {}
    mode = settings.get("extraction", {}).get("mode")
    speakers = settings.get("speakers", {})
    if mode == "speaker":
        return [REMEMBERED.format(how="all of them")]
    if mode == "online" and speakers.get("max_utterances", 0) != 1:
        return [REMEMBERED.format(how=f"those before it, order: {speakers.get('order', 'manifest')}")]
    return []


def took_ivectors(features: Any) -> bool:
    """Whether features are activations of a network that takes i-vectors; see :func:`of_ivectors`."""
    while isinstance(features, dict):
        for settings in features.values():
            trunk = settings.get("trunk") if isinstance(settings, dict) else None
            if isinstance(trunk, dict) and trunk.get("ivector_dim"):
                return True
        features = features.get("features")
    return False
