"""The posterior file: exact, atomic, and refused when a byte has changed."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sciinf.core.errors import DataError
from sciinf.results import storage
from sciinf.results.posterior import Posterior


def full(nested: Posterior) -> Posterior:
    """A posterior in which every field is set, with text that is not ASCII and numbers at the ends of their range."""
    n = len(nested)
    return dataclasses.replace(
        nested,
        latex=(r"\alpha", "é", "z"),
        units=("µK²", "", "km/s"),
        derived=np.column_stack([np.full(n, np.nan), np.full(n, -0.0), np.full(n, np.inf)]),
        derived_names=("u", "v", "w"),
        chain=np.arange(n) % 3,
        draw=np.arange(n) // 3,
        insertion_rank=np.arange(n) - 1,
        run=np.zeros(n, dtype=int),
        log_prior=np.where(np.arange(n) == 0, -np.inf, 5e-324),
        status="missed_mode",
        meta={"nested": {"list": [1, 2.5, None, True, "ü"]}, "pi": 3.141592653589793, "big": 2**63},
    )


def test_round_trip_is_exact(nested: Posterior, chains: Posterior, tmp_path: Path) -> None:
    for posterior in (nested, chains, full(nested)):
        path = tmp_path / "posterior.h5"
        storage.save(posterior, path)
        back = storage.load(path)
        for item in dataclasses.fields(Posterior):
            before, after = getattr(posterior, item.name), getattr(back, item.name)
            if isinstance(before, np.ndarray):
                assert after.dtype == before.dtype
                assert after.shape == before.shape
                assert after.tobytes() == before.tobytes()
            else:
                assert after == before
                assert type(after) is type(before)
        assert back.content_hash() == posterior.content_hash()
    assert [entry.name for entry in tmp_path.iterdir()] == ["posterior.h5"]


def test_the_file_is_plain_hdf5(nested: Posterior, tmp_path: Path) -> None:
    storage.save(nested, tmp_path / "p.h5")
    with h5py.File(tmp_path / "p.h5") as file:
        assert file.attrs["schema_version"] == 1
        assert file.attrs["content_hash"] == nested.content_hash()
        assert file["samples"].dtype == np.dtype("<f8")
        assert file["n_live"].dtype == np.dtype("<i8")
        assert np.array_equal(file["samples"][()], nested.samples)


def test_every_flipped_byte_and_every_cut_is_noticed(chains: Posterior, tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    storage.save(chains, path)
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    positions = [0, 30, 60, 400, 511, 512, 513, len(content) - 1, *rng.integers(512, len(content), size=40)]
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        with pytest.raises(DataError, match=r"p\.h5: "):
            storage.load(path)
    for length in (0, 10, 100, 511, 512, 513, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"p\.h5: "):
            storage.load(path)
    path.write_bytes(content)
    assert storage.load(path).content_hash() == chains.content_hash()


def resealed(path: Path, change: Any) -> None:
    """Change the HDF5 part by ``change(file)`` and renew the outer checksum, as a careful forger would."""
    with h5py.File(path, "r+") as file:
        change(file)
    content = path.read_bytes()
    magic = b"sciinf-posterior-sha256\n"
    path.write_bytes((magic + hashlib.sha256(content[512:]).digest()).ljust(512, b"\0") + content[512:])


def test_changed_arrays_or_texts_do_not_match_their_hash(chains: Posterior, tmp_path: Path) -> None:
    path = tmp_path / "p.h5"

    def samples(file: Any) -> None:
        file["samples"][3, 1] += 1e-12

    def text(file: Any) -> None:
        raw = file["text"][()]
        file["text"][...] = np.frombuffer(raw.tobytes().replace(b"Hz", b"kz"), dtype=np.uint8)

    def chain(file: Any) -> None:
        del file["chain"]

    def shape(file: Any) -> None:
        del file["log_prior"]

    for change, message in ((samples, "content hash"), (text, "do not match"), (chain, "chain and draw"), (shape, "log_prior")):
        storage.save(chains, path)
        resealed(path, change)
        with pytest.raises(DataError, match=message):
            storage.load(path)


def test_a_newer_schema_says_so(chains: Posterior, tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    storage.save(chains, path)
    resealed(path, lambda file: file.attrs.__setitem__("schema_version", 7))
    with pytest.raises(DataError, match=r"schema version 7, newer than this sciinf reads \(up to 1\)"):
        storage.load(path)


def test_other_files_are_refused_and_pickles_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("a pickle was executed",))

    (tmp_path / "bomb.h5").write_bytes(pickle.dumps(Bomb()))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1.0
    for name, message in (("bomb.h5", "not a posterior file"), ("other.h5", "not a posterior file"), ("none.h5", "cannot be read")):
        with pytest.raises(DataError, match=message):
            storage.load(tmp_path / name)


def test_a_failed_write_leaves_the_old_file(chains: Posterior, nested: Posterior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.h5"
    storage.save(chains, path)

    def full_disk(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", full_disk)
    with pytest.raises(OSError, match="No space left"):
        storage.save(nested, path)
    monkeypatch.undo()
    assert storage.load(path).content_hash() == chains.content_hash()
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.h5"]
    with pytest.raises(DataError, match="folder does not exist"):
        storage.save(chains, tmp_path / "nowhere" / "p.h5")


def test_no_path_enters_the_file(chains: Posterior, tmp_path: Path) -> None:
    storage.save(chains, tmp_path / "p.h5")
    assert str(tmp_path).encode() not in (tmp_path / "p.h5").read_bytes()
