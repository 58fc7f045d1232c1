"""What is worth listening to on a page: links to audio files, which are copied only if that is asked for."""

import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

AUDIO = "audio"
"""The folder of copies, beside the page."""


def sounds(cuts: Path, wanted: Collection[str], output: Path, *, copy: bool = False) -> dict[str, str]:
    """Where utterances can be heard, as seen from a page: utterance to URL.

    Args:
        cuts: a manifest with audio.
        wanted: utterances.
        output: the page's folder.
        copy: put copies of whole recordings beside the page, which may then be given away (if licences allow it).

    Returns:
        Only those whose audio is one file; a part of it by its seconds.

    Raises:
        UserError: no such manifest, or damage in it.
    """
    from sertools.manifests import read_cuts  # with Lhotse and torch, which no other part of a page needs

    found: dict[str, str] = {}
    names = set(wanted)
    for cut in read_cuts(cuts):
        if cut.id not in names or not cut.has_recording:
            continue
        files = [source.source for source in cut.recording.sources if source.type == "file"]
        if len(files) != 1:
            continue
        path = Path(files[0])
        if copy:
            there = output / AUDIO / f"{re.sub(r'[^A-Za-z0-9._-]', '_', cut.recording_id)}{path.suffix}"
            there.parent.mkdir(parents=True, exist_ok=True)
            if not there.exists():
                shutil.copyfile(path, there)
            path = there
        part = cut.start > 0.01 or cut.end < cut.recording.duration - 0.01
        url = quote(Path(os.path.relpath(path, output)).as_posix())
        found[cut.id] = url + (f"#t={cut.start:.3f},{cut.end:.3f}" if part else "")
    return found


def button(utterance: str, url: str | None) -> Markup:
    """A button that makes a player when it is pressed; nothing where there is no audio."""
    if url is None:
        return Markup("–")
    return Markup(
        '<button type="button" class="listen" data-sound="{}" aria-label="Listen to {}">▶ listen</button>'
    ).format(url, utterance)
