"""Files made to do harm: each is refused, and nothing of them runs."""

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from sertools.errors import UserError
from sertools.foreign.archive import LEGACY_START, SPARE_BYTES
from sertools.foreign.convert import convert

ATTACK = "touch pwned"


class Calls:
    """Pickles as a call of ``function``."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def archive(path: Path, content: bytes, records: Iterable[tuple[str, bytes]] = (), **options: Any) -> Path:
    """A zip archive as torch.save writes it."""
    with zipfile.ZipFile(path, "w", **options) as new:
        new.writestr("archive/data.pkl", content)
        for name, data in records:
            new.writestr(name, data)
    return path


def text(value: str) -> bytes:
    """BINUNICODE."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def tensor(
    size: str, stride: str, offset: int = 0, key: str = "0", count: int = 4, kind: str = "FloatStorage"
) -> bytes:
    """The pickle of a state_dict with one tensor "w", written by hand."""
    return (
        b"\x80\x02}" + text("w") + b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key) + text("cpu")
        + f"I{count}\n".encode() + b"tQ" + f"I{offset}\n".encode() + (size + stride).encode("latin-1")
        + b"\x89}tRs."
    )  # fmt: skip


def refused(path: Path, message: str) -> str:
    """Convert the file, which must fail and leave nothing."""
    before = set(path.parent.iterdir())
    with pytest.raises(UserError, match=message) as caught:
        convert(path, path.parent / "out.safetensors")
    assert set(path.parent.iterdir()) == before
    return str(caught.value)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attacks would leave a file called pwned in this folder."""
    monkeypatch.chdir(tmp_path)


CALLS: dict[str, tuple[Any, str]] = {
    "os.system": (Calls(os.system, ATTACK), r"(posix|os)\.system"),
    "eval": (Calls(eval, f"__import__('os').system('{ATTACK}')"), r"builtins.eval|__builtin__.eval"),
    "exec": (Calls(exec, f"import os; os.system('{ATTACK}')"), r"(builtins|__builtin__).exec"),
    "getattr": (Calls(getattr, Calls(__import__, "os"), "system"), r"(builtins|__builtin__).getattr"),
    "torch.load": (Calls(torch.load, "other.pt"), r"torch.serialization.load"),
    "torch.hub": (Calls(torch.hub.load, "x/y", "z"), r"torch.hub.load"),
    "torch.jit": (Calls(torch.jit.load, "x.pt"), r"torch.jit._serialization.load"),
    "open": (Calls(open, "pwned", "w"), r"(io|_io|builtins|__builtin__).open"),
}


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("name", CALLS)
def test_calls_by_reduce(tmp_path: Path, name: str, protocol: int) -> None:
    call, message = CALLS[name]
    content = pickle.dumps({"model": call}, protocol=protocol)
    refused(archive(tmp_path / "evil.pt", content), rf"'model': {message}")
    assert not (tmp_path / "pwned").exists()


def test_the_attacks_work_elsewhere(tmp_path: Path) -> None:
    """The control: Python's own unpickler runs them."""
    pickle.loads(pickle.dumps(CALLS["os.system"][0]))
    assert (tmp_path / "pwned").exists()


def test_torchs_own_calls_are_no_way_in(tmp_path: Path) -> None:
    """A real file of torch.save with a call beside real tensors; the tensors can be had."""
    torch.save({"model": {"w": torch.ones(2)}, "args": Calls(os.system, ATTACK)}, tmp_path / "evil.pt")
    assert "--key 'model' (1 tensors)" in refused(tmp_path / "evil.pt", r"'args': (posix|os).system")
    assert convert("evil.pt", "out.safetensors", ("model",)).tensors["w"].tolist() == [1, 1]
    assert not (tmp_path / "pwned").exists()


CODE = {
    "a chain in a name": (b"\x80\x04" + text("torch.serialization") + text("os.system") + b"\x93" + text(ATTACK)
                          + b"\x85R.", r"torch.serialization.os.system"),
    "a name out of a memo": (b"\x80\x04" + text("os") + b"\x94" + text("system") + b"\x940h\x00h\x01\x93" + text(ATTACK)
                             + b"\x85R.", r"os.system|broken"),
    "a name that is computed": (b"\x80\x04cbuiltins\nstr\n" + text("os") + b"\x85R" + text("system") + b"\x93"
                                + text(ATTACK) + b"\x85R.", r"a name that the file computes"),
    "INST": (b"(" + text(ATTACK) + b"ios\nsystem\n.", r"os.system"),
    "OBJ": (b"(cos\nsystem\n" + text(ATTACK) + b"o.", r"os.system"),
    "NEWOBJ": (b"\x80\x02csubprocess\nPopen\n" + text(ATTACK) + b"\x85\x81.", r"subprocess.Popen"),
    "NEWOBJ_EX": (b"\x80\x04csubprocess\nPopen\n" + text(ATTACK) + b"\x85}\x92.", r"subprocess.Popen"),
    "an extension of copyreg": (b"\x80\x02\x82\x01.", r"EXT1"),
    "a state for a function": (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}" + text("__code__") + b"K\x01sb.",
                               r"_rebuild_tensor_v2.__setstate__"),
    "an attribute of a dict": (b"\x80\x02}(" + text("a") + b"cos\nsystem\nu}b.", r"os.system"),
    "a call of what a call gave": (b"\x80\x02ccollections\nOrderedDict\n)R" + text(ATTACK) + b"\x85R.", r"Mapping"),
    "a parameter of no tensor": (b"\x80\x02ctorch._utils\n_rebuild_parameter\n(cos\nsystem\n\x89}tR.", r"os.system"),
    "a reference outside": (b"\x80\x02" + text("x") + b"Q.", r"outside of the file"),
    "a name for a terminal": (b"\x80\x02cos\n\x1b[2Jsystem\n)R.", r"os.\?\[2Jsystem"),
    "no end": (b"\x80\x02}", r"broken"),
    "nothing on the stack": (b"\x80\x02R.", r"broken"),
    "no mark": (b"\x80\x02}u.", r"broken"),
    "two results": (b"\x80\x02}}.", r"broken"),
    "a mark alone": (b"(.", r"without a tensor"),
    "an unknown instruction": (b"\x80\x02\xff.", r"broken"),
    "a long text that is not there": (b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.", r"broken"),
    "a text that is not Unicode": (b"\x80\x02X\x03\x00\x00\x00\xed\xa0\x80.", r"not Unicode"),
    "a huge number": (b"\x80\x02\x8b" + struct.pack("<I", 9000) + b"\x7f" * 9000 + b".", r"64 bits"),
    "a huge number as a key": (b"\x80\x02}\x8b" + struct.pack("<I", 9000) + b"\x7f" * 9000 + b"Ns.",
                               r"a key that is a int"),
}  # fmt: skip


@pytest.mark.parametrize("name", CODE)
def test_code(tmp_path: Path, name: str) -> None:
    content, message = CODE[name]
    said = refused(archive(tmp_path / "evil.pt", content), message)
    assert said.replace("\n", "").isprintable()
    assert not (tmp_path / "pwned").exists()


def test_lists_that_hold_each_other_many_times(tmp_path: Path) -> None:
    """2 ** 60 elements in 400 bytes."""
    content = b"\x80\x02]" + b"".join(b"]q%c(h%ch%ce" % (n, n - 1, n - 1) for n in range(1, 61))
    content = content.replace(b"\x80\x02]", b"\x80\x02]q\x00", 1).replace(b"]q", b"0]q").replace(b"\x020]", b"\x02]", 1)
    refused(archive(tmp_path / "evil.pt", content + b"."), r"more than 100000 values")


def test_a_list_that_holds_itself(tmp_path: Path) -> None:
    refused(archive(tmp_path / "evil.pt", b"\x80\x02]q\x00h\x00a."), r"lists inside of lists without end")


def test_deep_dictionaries_with_empty_keys(tmp_path: Path) -> None:
    content = b"\x80\x02" + (b"}" + text("")) * 5000 + b"N" + b"s" * 5000 + b"."
    refused(archive(tmp_path / "evil.pt", content), r"lists inside of lists without end")


FOUR = [("archive/data/0", b"\0" * 16)]
TENSORS: dict[str, tuple[bytes, str]] = {
    "beyond the storage": (tensor("K\x05\x85", "K\x01\x85"), r"w: reaches to number 4 of a storage of 4"),
    "an offset beyond it": (tensor("K\x01\x85", "K\x01\x85", offset=4), r"reaches to number 4"),
    "a stride beyond it": (tensor("K\x02\x85", "K\x09\x85"), r"reaches to number 9"),
    "a negative size": (tensor("I-1\n\x85", "K\x01\x85"), r"_rebuild_tensor_v2"),
    "a negative stride": (tensor("K\x02\x85", "I-1\n\x85"), r"_rebuild_tensor_v2"),
    "a negative offset": (tensor("K\x01\x85", "K\x01\x85", offset=-1), r"_rebuild_tensor_v2"),
    "a stride too few": (tensor("K\x02K\x02\x86", "K\x01\x85"), r"_rebuild_tensor_v2"),
    "a size of another type": (tensor("X\x01\x00\x00\x00a\x85", "K\x01\x85"), r"_rebuild_tensor_v2"),
    "a stride of nothing, a large size": (tensor("I1000000000000\n\x85", "K\x00\x85"), r"4000.\d GB, far more than"),
    "sizes that overflow": (tensor("I4611686018427387904\nI4\n\x86", "K\x00K\x00\x86"), r"far more than the file"),
    "a longer storage than its record": (tensor("K\x05\x85", "K\x01\x85", count=5), r"16 bytes, its tensor says 20"),
    "a shorter storage than its record": (tensor("K\x01\x85", "K\x01\x85", count=1), r"16 bytes, its tensor says 4"),
    "a storage that overflows": (tensor("K\x01\x85", "K\x01\x85", count=2**62), r"its tensor says"),
    "a record outside of the folder": (tensor("K\x01\x85", "K\x01\x85", key="../../etc/passwd"), r"is not in the file"),
    "a record that is not there": (tensor("K\x01\x85", "K\x01\x85", key="7"), r"'7' is not in the file"),
    "a storage of another kind": (tensor("K\x01\x85", "K\x01\x85", kind="nn.Linear"), r"storage of the kind"),
}  # fmt: skip


@pytest.mark.parametrize("name", TENSORS)
def test_tensors(tmp_path: Path, name: str) -> None:
    content, message = TENSORS[name]
    refused(archive(tmp_path / "evil.pt", content, FOUR), message)


def test_a_tensor_written_by_hand_is_read(tmp_path: Path) -> None:
    """The control: the attacks above fail for what they attack."""
    records = [("archive/data/0", struct.pack("<4f", 1, 2, 3, 4))]
    path = archive(tmp_path / "good.pt", tensor("K\x02K\x02\x86", "K\x01K\x02\x86"), records)
    assert convert(path, tmp_path / "good.safetensors").tensors["w"].tolist() == [[1, 3], [2, 4]]


def test_archives(tmp_path: Path) -> None:
    good = tensor("K\x04\x85", "K\x01\x85")
    path = tmp_path / "evil.pt"
    for name in ("../../pwned", "/pwned", "archive/../../pwned", "..\\pwned"):
        refused(archive(path, good, [*FOUR, (name, b"x")]), r"leaves the archive's folder")
    bomb = [("archive/data/0", b"\0" * 10_000_000)]
    refused(archive(path, good, bomb, compression=zipfile.ZIP_DEFLATED), r"is compressed")
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive(path, good, FOUR * 2)
    refused(path, r"two records called")
    refused(archive(path, good, [*FOUR, ("archive/byteorder", b"big")]), r"big-endian")
    with zipfile.ZipFile(path, "w") as new:
        new.writestr("notes.txt", b"x")
    refused(path, r"without one FOLDER/data.pkl")
    path.write_bytes(b"PK\x05\x06" + b"\0" * 18)
    refused(path, r"without one FOLDER/data.pkl")


def test_records_that_overlap(tmp_path: Path) -> None:
    """Many entries of the directory that share one record: much out of little, without compression."""
    path = archive(tmp_path / "evil.pt", tensor("K\x04\x85", "K\x01\x85"), [("archive/data/0", b"\0" * 5000)])
    data = path.read_bytes()
    end = data.rindex(b"PK\x05\x06")
    size, start = struct.unpack("<II", data[end + 12 : end + 20])
    directory = data[start : start + size]
    last = directory[directory.rindex(b"PK\x01\x02") :]
    more = b"".join(last[:-1] + bytes([n]) for n in range(ord("1"), ord("1") + 40))
    footer = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 42, 42, size + len(more), start, 0)
    path.write_bytes(data[:start] + directory + more + footer)
    refused(path, r"records that overlap")


def legacy(content: bytes, keys: list[str], *records: bytes) -> bytes:
    """The format before torch 1.6."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = LEGACY_START + pickle.dumps(1001, protocol=2) + pickle.dumps(system, protocol=2)
    return head + content + pickle.dumps(keys, protocol=2) + b"".join(records)


def test_the_old_format(tmp_path: Path) -> None:
    path = tmp_path / "evil.pt"
    good, record = tensor("K\x04\x85", "K\x01\x85"), struct.pack("<q4f", 4, 1, 2, 3, 4)

    def attack(content: bytes, message: str) -> None:
        path.write_bytes(content)
        refused(path, message)

    attack(legacy(pickle.dumps(Calls(os.system, ATTACK), protocol=2), []), r"everything: (posix|os).system")
    attack(legacy(good, ["0"], record[:-4]), r"is not in the file, or has another length")
    attack(legacy(good, []), r"is not in the file")
    attack(legacy(good, ["0"], struct.pack("<q", 1 << 60)), r"is not in the file")
    attack(legacy(good, ["0"], struct.pack("<q", -1)), r"'0' of -1 numbers")
    attack(legacy(good, ["9"], record), r"'9' of 4 numbers")
    attack(legacy(good, ["0", "0"], record, record), r"a list of records that is none")
    attack(legacy(good, ["0"], b""), r"damaged")
    attack(LEGACY_START + pickle.dumps(1000, protocol=2) + pickle.dumps({}) * 3, r"unknown version")
    attack(LEGACY_START + b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.", r"broken")
    assert not (tmp_path / "pwned").exists()
    path.write_bytes(legacy(good, ["0"], record))
    assert convert(path, tmp_path / "good.safetensors").tensors["w"].tolist() == [1, 2, 3, 4]


def test_many_references_to_one_storage(tmp_path: Path) -> None:
    """A small file whose tensors take much memory together."""
    count = 1 << 20
    one = tensor(f"I{count}\n\x85", "K\x01\x85", count=count)[2:-2]  # without PROTO, SETITEM and STOP
    key = text("w")
    content = b"\x80\x02}(" + b"".join(text(f"w{n}") + one[1 + len(key) :] for n in range(120)) + b"u."
    path = archive(tmp_path / "evil.pt", content, [("archive/data/0", b"\0" * 4 * count)])
    assert 120 * 4 * count > 8 * path.stat().st_size + SPARE_BYTES
    refused(path, r"would take 0.5 GB, far more than the file")


def test_random_damage_is_always_a_user_error(tmp_path: Path) -> None:
    """Whatever byte of a real file is changed: tensors or a UserError, never something else."""
    buffer = io.BytesIO()
    torch.save({"model": {"w": torch.ones(3), "b": torch.zeros(2)}, "epoch": 3}, buffer)
    whole = buffer.getvalue()
    generator = torch.Generator().manual_seed(1)
    outcomes: dict[str, int] = {"read": 0, "refused": 0}
    change: Callable[[int], int] = lambda high: int(torch.randint(high, (1,), generator=generator))  # noqa: E731
    with zipfile.ZipFile(io.BytesIO(whole)) as reader:
        records = {name: reader.read(name) for name in reader.namelist()}
        (folder,) = {name.split("/")[0] for name in records}
    for _ in range(200):
        pickled = bytearray(records[f"{folder}/data.pkl"])
        pickled[change(len(pickled))] = change(256)
        others = [
            (name.replace(folder, "archive", 1), data) for name, data in records.items() if "data.pkl" not in name
        ]
        path = archive(tmp_path / "damaged.pt", bytes(pickled), others)
        try:
            convert(path, tmp_path / "out.safetensors")
            outcomes["read"] += 1
        except UserError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 20
