"""What speech an acoustic model has learnt from: for curves over its amount, and for whoever is tested afterwards."""

from pathlib import Path
from typing import Any

from sertools.manifests import read_cuts


def speech_of(cuts_path: Path | str) -> dict[str, Any]:
    """Amount and origin of the speech of a manifest.

    Args:
        cuts_path: training cuts.

    Returns:
        ``seconds`` of it, each utterance once whatever copies of it at other speeds there are, and ``corpora``: their
        names, sorted, as far as the manifest knows them.
    """
    seconds, corpora = 0.0, set()
    for cut in read_cuts(cuts_path):
        told = cut.recording.transforms if cut.has_recording and cut.recording.transforms else ()
        if any(_name(one) == "Speed" for one in told):
            continue
        seconds += cut.duration
        corpora |= {str(one.custom["corpus"]) for one in cut.supervisions if one.custom and one.custom.get("corpus")}
    return {"seconds": round(seconds, 3), "corpora": sorted(corpora)}


def _name(transform: Any) -> str:
    # lhotse holds them as mappings, or as objects
    return str(transform["name"]) if isinstance(transform, dict) else type(transform).__name__
