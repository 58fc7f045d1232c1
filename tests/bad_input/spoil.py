"""Ways to spoil what material.py makes: each gives a function that changes something in a folder."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import soundfile

FOLDS = "data/folds/paper/folds.json"
PREDICTIONS = "exp/tdnn/fold_Session1/seed_1/predictions.csv"

Spoil = Callable[[Path], Any]


def nothing(folder: Path) -> None:
    """All is well but for the command."""


def write(name: str, text: str | bytes) -> Spoil:
    """A file with other content."""

    def spoil(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return spoil


def remove(name: str) -> Spoil:
    """A file or folder that is not there."""

    def spoil(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


def replace(name: str, old: str, new: str, encoding: str = "utf-8") -> Spoil:
    """A file in which something (that must be there) is changed."""

    def spoil(folder: Path) -> None:
        text = (folder / name).read_text(encoding=encoding)
        assert old in text, f"{name} has no {old!r}"
        (folder / name).write_text(text.replace(old, new, 1), encoding=encoding)

    return spoil


def replace_bytes(pattern: str, change: Callable[[bytes], bytes]) -> Spoil:
    """A file (the one that matches) with changed content."""

    def spoil(folder: Path) -> None:
        (path,) = folder.glob(pattern)
        path.write_bytes(change(path.read_bytes()))

    return spoil


def cut_short(name: str, less: int) -> Spoil:
    """A file without its end."""
    return replace_bytes(name, lambda content: content[:-less])


def copy(source: str, target: str) -> Spoil:
    """A copy of a file or folder, without a stamp beside it."""

    def spoil(folder: Path) -> None:
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        if (folder / source).is_dir():
            shutil.copytree(folder / source, folder / target)
        else:
            shutil.copyfile(folder / source, folder / target)

    return spoil


def audio(name: str, samples: Any, rate: int = 16000, **options: Any) -> Spoil:
    """Another audio file."""

    def spoil(folder: Path) -> None:
        soundfile.write(folder / name, samples, rate, **options)

    return spoil


def manifest(name: str, change: Callable[[list[Any]], Any]) -> Spoil:
    """A manifest of the user's own, mine/NAME: that of a stage with lines changed."""

    def spoil(folder: Path) -> None:
        lines = [json.loads(line) for line in gzip.decompress((folder / name).read_bytes()).splitlines()]
        changed = change(lines)
        text = "".join(json.dumps(line) + "\n" for line in (lines if changed is None else changed))
        write(f"mine/{Path(name).name}", gzip.compress(text.encode()))(folder)

    return spoil


def in_first(change: Callable[[dict[str, Any]], Any]) -> Callable[[list[Any]], None]:
    """Changes the first line of a manifest."""

    def both(lines: list[Any]) -> None:
        change(lines[0])

    return both


def in_all(change: Callable[[dict[str, Any]], Any]) -> Callable[[list[Any]], None]:
    """Changes all lines of a manifest."""

    def every(lines: list[Any]) -> None:
        for line in lines:
            change(line)

    return every


def folds(change: Callable[[dict[str, Any]], Any]) -> Spoil:
    """Folds that were changed by hand."""

    def spoil(folder: Path) -> None:
        values = json.loads((folder / FOLDS).read_text())
        change(values)
        (folder / FOLDS).write_text(json.dumps(values))
        (folder / FOLDS).with_name("stamp.json").unlink(missing_ok=True)

    return spoil


def predictions(change: Callable[[str], str], fold: str = "fold_Session1") -> Spoil:
    """A table of the user's own, changed."""
    target = f"mine/{fold}/seed_1/predictions.csv"
    return second(copy(PREDICTIONS, target), replace_bytes(target, lambda content: change(content.decode()).encode()))


def speaker_in_two_parts(values: dict[str, Any]) -> None:
    first = values["folds"][0]
    moved = first["train"][0]
    speaker = values["speakers"][moved]
    others = [name for name in first["train"] if values["speakers"][name] == speaker]
    first["train"].remove(others[0])
    first["dev"] = sorted([*first["dev"], others[0]])


def read_only(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out").chmod(0o555)


def second(*spoils: Spoil) -> Spoil:
    """One after the other."""

    def spoil(folder: Path) -> None:
        for one in spoils:
            one(folder)

    return spoil


def a_segment_too_late(folder: Path) -> None:
    (stm,) = (folder / "corpora/tedlium2/TEDLIUM_release2/dev/stm").iterdir()
    stm.write_text(stm.read_text() + f"{stm.stem} 1 {stm.stem} 9000 9001 <o,f0,male> hello\n")


def a_talk_of_dev_in_train(folder: Path) -> None:
    root = folder / "corpora/tedlium2/TEDLIUM_release2"
    for kind in ("sph", "stm"):
        (path,) = (root / "dev" / kind).iterdir()
        shutil.copy(path, root / "train" / kind)


def another_phone(folder: Path) -> None:
    (folder / "lang/lexiconp.txt").write_text((folder / "lang/lexiconp.txt").read_text() + "xyzzy 1.0 ZZ\n")
    phones = (folder / "lang/phones.txt").read_text()
    (folder / "lang/phones.txt").write_text(f"{phones}ZZ {len(phones.splitlines())}\n")


class _Evil:
    def __reduce__(self) -> Any:
        return os.system, ("echo pwned",)


def foreign(folder: Path) -> None:
    import torch

    torch.save({"model": {"w": torch.ones(2)}, "args": _Evil()}, folder / "model.pth")
