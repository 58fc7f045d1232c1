"""The voice prompts of the Asterisk telephone exchange: real transcribed speech that is free.

Debian packages ``asterisk-core-sounds-XX`` (transcripts) and ``asterisk-core-sounds-XX-g722``
(audio, ITU-T G.722 at 64 kbit/s, so 16 kHz), XX one of en, es, fr, it, ru; CC BY-SA 3.0.  One voice
a language, 25 minutes each.  ``benchmarks/prompts/get_prompts.sh`` gets and unpacks them::

    usr/share/asterisk/sounds/en_US_f_Allison/digits/1.g722
    usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz     lines "digits/1: one"

Left out and counted: prompts that are no speech (tones, silence), that have no transcript or no
audio, and those whose transcript does not say for certain what is heard (a remark in brackets,
"1234", a web address, Latin letters in Russian).  Prompts of more than 15 s, mostly demonstrations
read as one long text, are a split of their own.
"""

import os
import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from lhotse import Recording, SupervisionSegment

from sertools.corpora.audio_check import AudioFile, Progress
from sertools.corpora.audio_write import write_audio
from sertools.corpora.corpus import Corpus
from sertools.corpora.found import Found
from sertools.corpora.layout import find_root, listing_hash, visible
from sertools.corpora.manifests import Prepared, prepare
from sertools.corpora.problems import Problem
from sertools.corpora.prompts_text import Transcripts, read_transcripts, to_words
from sertools.errors import MissingPackage
from sertools.files import replacing
from sertools.provenance import Stamp

VERSION = 2
SAMPLING_RATE = 16000
SAMPLES_PER_BYTE = 2  # G.722 at 64 kbit/s
SOUNDS, DOCUMENTS = "usr/share/asterisk/sounds", "usr/share/doc"
LAYOUT = f"{SOUNDS}/en_US_f_Allison/*.g722 and {DOCUMENTS}/asterisk-core-sounds-en/core-sounds-en.txt.gz"
VOICES = {
    "en": "en_US_f_Allison", "es": "es_MX_f_Allison", "fr": "fr_CA_f_June",
    "it": "it_IT_m_Carlo", "ru": "ru_RU_f_IvrvoiceRU",
}  # fmt: skip
LANGUAGES = {"en": "English", "es": "Spanish", "fr": "French", "it": "Italian", "ru": "Russian"}
LONG = 15.0  # seconds
TEST_PART = {"en": 0.15}  # the other languages are for pretraining
DEV_PART = 0.1  # of what is not test
SEED = 0


def prepare_prompts(
    corpus_dir: Path | str,
    output_dir: Path | str,
    *,
    skip_bad: bool = False,
    jobs: int = 2,
    progress: Progress | None = None,
) -> Prepared:
    """Write ``prompts_{recordings,supervisions,cuts}_XX_{train,dev,test,long}.jsonl.gz``.

    XX is the language, or ``all`` for all of them together.  Only English has a test part: 15 %,
    drawn at random with a fixed seed; of the rest a tenth is dev.  The audio is decoded into
    ``OUT/audio`` (FLAC, 16 kHz).  The text is in lower case without punctuation; ``custom`` of a
    supervision: prompt (its name), corpus.

    Args:
        corpus_dir: where the packages were unpacked (``/`` if they are installed).
        output_dir: for manifests, audio, report and stamp.
        skip_bad: leave out what is bad instead of stopping.
        jobs: threads for decoding.
        progress: called after each file that was decoded.

    Raises:
        UserError: no prompts there, or files are broken and not ``skip_bad``.
        MissingPackage: PyAV (av), which decodes G.722, is not installed.
    """
    root = find_root(corpus_dir, [], f"{SOUNDS}/*_*", LAYOUT)
    audio_dir = Path(os.path.abspath(Path(output_dir) / "audio"))
    stamp = Stamp(
        {"corpus_dir": str(root), "audio": str(audio_dir), "skip_bad": skip_bad, "version": VERSION},
        {"corpus": listing_hash(root, [f"{SOUNDS}/*_*/**/*.g722", f"{DOCUMENTS}/*/core-sounds-*.txt.gz"])},
    )
    # at every run: the stamp does not cover the decoded audio
    audio, problems = decode_all(root, audio_dir, jobs, progress)
    return prepare("prompts", lambda: find(root, audio, problems), output_dir, stamp, skip_bad)


def find(root: Path, audio: dict[str, AudioFile], problems: Sequence[Problem] = ()) -> Found:
    """Put the transcripts in ``root`` and the decoded ``audio`` (by "en/digits/1") together."""
    found = Found(problems=list(problems))
    for language in VOICES:
        names = {name.partition("/")[2]: name for name in audio if name.startswith(f"{language}/")}
        if not names:
            found.notes.append(f"{language}: no audio; the package asterisk-core-sounds-{language}-g722 is not there")
            continue
        path = root / DOCUMENTS / f"asterisk-core-sounds-{language}" / f"core-sounds-{language}.txt.gz"
        if not path.exists():
            found.problems.append(Problem("missing transcripts", str(path), "unpack that package, too"))
            continue
        left_out: Counter[str] = Counter()
        texts = _texts(read_transcripts(path), names, language, left_out)
        found.notes += [f"{language}: left out {count} x {reason}" for reason, count in sorted(left_out.items())]
        for split, prompts in _split(language, texts, {name: audio[names[name]] for name in texts}).items():
            made = [_make(language, name, texts[name], audio[names[name]]) for name in prompts]
            found.splits[f"{language}_{split}"] = [one for one, _ in made], [one for _, one in made]
    found.notes += _unseen(found)
    found.splits |= _all_languages(found)
    return found


def decode_all(
    root: Path, audio_dir: Path, jobs: int, progress: Progress | None
) -> tuple[dict[str, AudioFile], list[Problem]]:
    """Decode what is not there yet.

    Returns:
        the audio by "<language>/<name of the prompt>", and the files that cannot be decoded.
    """
    sources = {
        f"{language}/{path.relative_to(root / SOUNDS / voice).with_suffix('')}": path
        for language, voice in VOICES.items()
        for path in visible((root / SOUNDS / voice).glob("**/*.g722"))
        if path.stat().st_size > 0  # Russian has no word for "is"
    }
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        results = pool.map(lambda name: _decode(sources[name], audio_dir / f"{name}.flac"), sources)
        audio: dict[str, AudioFile] = {}
        problems = []
        for done, (name, result) in enumerate(zip(sources, results, strict=True), start=1):
            if isinstance(result, Problem):
                problems.append(result)
            else:
                audio[name] = result
            if progress is not None:
                progress(done, len(sources))
    return audio, problems


def _decode(source: Path, target: Path) -> AudioFile | Problem:
    """G.722 to FLAC; a file that is there and as long as it has to be is left as it is."""
    num_samples = SAMPLES_PER_BYTE * source.stat().st_size
    result = AudioFile(target, SAMPLING_RATE, 1, num_samples)
    if target.exists() and soundfile.info(target).frames == num_samples:
        return result
    try:
        import av
    except ImportError as error:
        raise MissingPackage("av", "decoding G.722", "Install it with `pip install av`.") from error
    try:
        with av.open(str(source), format="g722") as container:
            samples = np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])
    except av.FFmpegError as error:
        return Problem("unreadable audio", str(source), str(error))
    if len(samples) != num_samples:
        return Problem("truncated audio", str(source), f"{len(samples)} samples, expected {num_samples}")
    with replacing(target) as temporary:
        write_audio(temporary, samples, SAMPLING_RATE, "FLAC")
    return result


def _texts(transcripts: Transcripts, names: dict[str, str], language: str, left_out: Counter[str]) -> dict[str, str]:
    """Name to normalised text of the prompts that can be used; the others are counted."""
    texts = {}
    folded = Counter(name.casefold() for name in names)
    for name in sorted(names):
        text = transcripts.texts.get(name.casefold())
        if name.casefold() in transcripts.twice or folded[name.casefold()] > 1:
            left_out["several transcripts or files of one name"] += 1
        elif text is None:
            left_out["audio without a transcript"] += 1
        else:
            words, reason = to_words(text, language)
            if reason is None:
                texts[name] = words
            else:
                left_out[reason] += 1
    left_out["transcript without audio"] = len(transcripts.texts.keys() - folded.keys())
    return texts


def _split(language: str, texts: dict[str, str], audio: dict[str, AudioFile]) -> dict[str, list[str]]:
    """Names of prompts by split; only those that are not empty."""
    seconds = {name: file.num_samples / file.sampling_rate for name, file in audio.items()}
    usual = [name for name in sorted(texts) if seconds[name] <= LONG]
    random.Random(SEED).shuffle(usual)
    num_test = round(TEST_PART.get(language, 0.0) * len(usual))
    num_dev = round(DEV_PART * (len(usual) - num_test))
    splits = {
        "test": usual[:num_test],
        "dev": usual[num_test : num_test + num_dev],
        "train": usual[num_test + num_dev :],
        "long": [name for name in texts if seconds[name] > LONG],
    }
    return {split: sorted(names) for split, names in splits.items() if names}


def _make(language: str, name: str, text: str, file: AudioFile) -> tuple[Recording, SupervisionSegment]:
    voice = VOICES[language]
    identity = f"prompts-{language}-{name.replace('/', '-')}"
    recording = file.recording(identity)
    return recording, SupervisionSegment(
        id=identity,
        recording_id=identity,
        start=0.0,
        duration=recording.duration,
        channel=0,
        text=text,
        language=LANGUAGES[language],
        speaker=voice,
        gender={"f": "female", "m": "male"}[voice.split("_")[2]],
        custom={"prompt": name, "corpus": "prompts"},
    )


def _all_languages(found: Found) -> dict[str, tuple[list[Recording], list[SupervisionSegment]]]:
    """Splits ``all_train``, ...: those of the languages together."""
    together: dict[str, tuple[list[Recording], list[SupervisionSegment]]] = {}
    for name, (recordings, supervisions) in found.splits.items():
        both = together.setdefault(f"all_{name.partition('_')[2]}", ([], []))
        both[0].extend(recordings)
        both[1].extend(supervisions)
    return together


def _unseen(found: Found) -> list[str]:
    """What of the English test part is new to who knows the other English prompts."""
    texts = {split: [one.text or "" for one in supervisions] for split, (_, supervisions) in found.splits.items()}
    if "en_test" not in texts:
        return []
    known = [text for split in ("en_train", "en_dev") for text in texts.get(split, [])]
    vocabulary = {word for text in known for word in text.split()}
    words = [word for text in texts["en_test"] for word in text.split()]
    new = sum(word not in vocabulary for word in words)
    same = sum(text in set(known) for text in texts["en_test"])
    return [
        f"en_test: {len(words)} words ({len(set(words))} different), {new} of them not in train and dev; "
        f"{same} of {len(texts['en_test'])} prompts have the text of another one in train and dev"
    ]


CORPUS = Corpus("prompts", "recorded prompts of telephone systems with their texts", prepare_prompts)
