"""What disk and user can do to a run directory: refused with the reason or resumed to the same bytes, never another posterior."""

from __future__ import annotations

import errno
import functools
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sciinf
from sciinf.calibration import kernels as known
from sciinf.core.engine import CompiledLikelihood
from sciinf.core.errors import ConfigError, DataError, ResumeError, SciinfError
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import Uniform
from sciinf.core.problem import Problem
from sciinf.results.run_directory import RunDirectory
from sciinf.samplers import checkpoint as checkpoints
from sciinf.samplers.checkpoint import Interrupted
from sciinf.samplers.sample import sample
from sciinf.samplers.session import Session
from sciinf.samplers.settings import Dynesty, Emcee, Settings

SEED = 3
SETTINGS: dict[str, Settings] = {
    "static": Dynesty(n_live=30, walks=5, dlogz=1.0, engine="dynesty"),
    "emcee": Emcee(n_walkers=12, n_steps=200, tau_multiple=1.0, engine="emcee"),
    "compiled nested": Dynesty(n_live=60, walks=25, engine="compiled"),
    "compiled stretch": Emcee(n_walkers=12, n_steps=2000, tau_multiple=1.0, engine="compiled"),
    "compiled proposals": Dynesty(n_live=30, walks=5, dlogz=1.0, bound="balls", engine="compiled"),
}
CHAINS = ("emcee", "compiled stretch")
EVERY_SAMPLER = pytest.mark.parametrize("name", list(SETTINGS))
ONE_OF_EACH_FILE = pytest.mark.parametrize("name", ["static", "emcee", "compiled nested", "compiled stretch"])
HOW_MANY_BITS = pytest.mark.parametrize("n_bits", [8, pytest.param(200, marks=pytest.mark.slow)])
REFUSED = (ResumeError, DataError, ConfigError)


def problem_of(function: Any = known.gauss, correlation: float = 0.6, half_width: float = 5.0) -> Problem:
    """A problem in three parameters with a compiled form; its data are one number."""
    numbers, no_ints = np.array([correlation]), np.empty(0, dtype=np.int64)
    engine = FunctionEngine(
        functools.partial(value_of, function),
        ["x", "y", "z"],
        data=numbers,
        compiled=CompiledLikelihood(function, numbers, no_ints, workspace_size=0),
        version="1",
    )
    return Problem(engine, PriorSet([Parameter(name, Uniform(-half_width, half_width)) for name in ("x", "y", "z")]))


def value_of(function: Any, theta: Any, data: Any) -> float:
    return float(function(np.ascontiguousarray(theta), data, np.empty(0, dtype=np.int64), np.empty(0)))


def run(name: str, folder: Path | None = None, **options: Any) -> str:
    """Content hash of a run."""
    asked: dict[str, Any] = {"problem": problem_of(), "settings": SETTINGS[name], "seed": SEED, "progress": False} | options
    return sample(asked.pop("problem"), asked.pop("settings"), directory=folder, **asked).content_hash()


@functools.cache
def expected(name: str) -> str:
    return run(name)


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled loops pause after a few steps, so that a run of milliseconds has several checkpoints."""
    for module in ("nested", "stretch"):
        monkeypatch.setattr(f"sciinf.samplers.compiled.{module}._BLOCK_SECONDS", 1e-3)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Directory of a run of each sampler that a signal stopped after several checkpoints; not to be written to."""

    @functools.cache
    def made(name: str) -> Path:
        folder, original, pauses = tmp_path_factory.mktemp("run") / name, Session.why_stop, [0]

        def why_stop(self: Session, iterations: int) -> Any:
            pauses[0] += 1
            if pauses[0] == 6:
                os.kill(os.getpid(), signal.SIGINT)
            return original(self, iterations)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
            patch.setattr(Session, "why_stop", why_stop)
            patch.setattr(Session, "checkpoint_due", lambda self: True)
            run(name, folder)
        return folder

    return made


@pytest.fixture
def damaged(interrupted: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A fresh copy of such a directory, to be damaged."""
    number = iter(range(10_000))

    def copied(name: str) -> Path:
        return Path(shutil.copytree(interrupted(name), tmp_path / f"run-{next(number)}"))

    return copied


def files_of(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def outcome(name: str, folder: Path, **options: Any) -> str:
    """Why the run was refused, or "the same"; anything else is a failure."""
    try:
        found = run(name, folder, resume=True, **options)
    except REFUSED as error:
        assert folder.joinpath("posterior.h5").exists() is False
        return str(error)
    assert found == expected(name)
    return "the same"


@EVERY_SAMPLER
def test_the_interrupted_run_itself_goes_on_to_the_same_bytes(name: str, damaged: Callable[[str], Path]) -> None:
    folder = damaged(name)
    segments = [item for item in files_of(folder) if "segment" in item]
    assert {"checkpoint.bin", "checkpoint.previous.bin", "manifest.json", "run.log"} == set(files_of(folder)) - set(segments)
    assert (len(segments) > 2) == (name in CHAINS)
    assert outcome(name, folder) == "the same"
    assert files_of(folder) == ["manifest.json", "posterior.h5", "run.log", "summary.txt"]


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def sampled_bits(content: bytes, n: int) -> list[int]:
    """``n`` bits spread over the file, the first 64 bytes (magic and checksum) among them."""
    rng, size = np.random.default_rng(len(content)), 8 * len(content)
    head = rng.choice(min(size, 512), n // 4, replace=False)
    return sorted({*map(int, head), *map(int, rng.integers(0, size, n - n // 4))})


@EVERY_SAMPLER
@HOW_MANY_BITS
def test_any_flipped_bit_of_a_checkpoint_is_refused_and_the_one_before_offered(
    name: str, n_bits: int, damaged: Callable[[str], Path]
) -> None:
    folder = damaged(name)
    path = folder / "checkpoint.bin"
    content = path.read_bytes()
    for bit in sampled_bits(content, n_bits):
        path.write_bytes(flipped(content, bit))
        said = outcome(name, folder)
        assert re.search(r"checkpoint.bin: .*checkpoint.previous.bin is whole \(iteration \d+\): resume with force=True", said), bit
    assert outcome(name, folder, force=True) == "the same"
    assert RunDirectory(folder).read_manifest()["resumed"][-1]["forced"] is True
    assert files_of(folder) == ["manifest.json", "posterior.h5", "run.log", "summary.txt"]


@EVERY_SAMPLER
def test_a_damaged_newest_one_never_takes_the_place_of_the_whole_one(
    name: str, damaged: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = damaged(name)
    (folder / "checkpoint.bin").write_bytes(b"not a checkpoint")
    whole = (folder / "checkpoint.previous.bin").read_bytes()

    def fail(self: Session, iterations: int, body: Any) -> None:
        raise KeyboardInterrupt  # before the first checkpoint of this life is written

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(Session, "checkpoint_due", lambda self: True)
        patch.setattr(Session, "save", fail)
        run(name, folder, resume=True, force=True)
    assert (folder / "checkpoint.previous.bin").read_bytes() == whole
    assert (folder / "checkpoint.damaged.bin").read_bytes() == b"not a checkpoint"
    assert outcome(name, folder) == "the same"


@EVERY_SAMPLER
def test_a_flipped_bit_of_the_previous_checkpoint_alone_does_not_matter(name: str, damaged: Callable[[str], Path]) -> None:
    folder = damaged(name)
    path = folder / "checkpoint.previous.bin"
    path.write_bytes(flipped(path.read_bytes(), 4000))
    assert outcome(name, folder) == "the same"


@pytest.mark.parametrize("name", CHAINS)
@HOW_MANY_BITS
def test_any_flipped_bit_of_a_segment_is_refused(name: str, n_bits: int, damaged: Callable[[str], Path]) -> None:
    folder = damaged(name)
    segments = sorted(folder.glob("checkpoint.segment-*.npz"))
    for segment in (segments[0], segments[-1]):
        content = segment.read_bytes()
        for bit in sampled_bits(content, n_bits):
            segment.write_bytes(flipped(content, bit))
            said = outcome(name, folder)
            assert re.match(rf"{segment.name} is damaged: expected sha256 \w+, found \w+\. ", said), bit
            whole = "checkpoint.previous.bin is whole" in said  # it does not name the last segment
            assert whole == (segment == segments[-1])
            assert ("The one before it is damaged too" in said) != whole
        segment.write_bytes(content)
    segments[-1].unlink()
    assert re.match(rf"{segments[-1].name} cannot be read .*checkpoint.previous.bin is whole", outcome(name, folder))
    assert outcome(name, folder, force=True) == "the same"


def bits_of_manifest(content: bytes, n: int) -> list[int]:
    """``n`` bits anywhere, and one in each character of the keys that resuming reads."""
    bits = sampled_bits(content, n)
    for key in (b'"science"', b'"status"', b'"started"', b'"manifest_version"', b'"resumed"', b'"data"', b'"content_hash"'):
        first = content.index(key)
        bits += [8 * place + 1 for place in range(first, first + len(key))]
    return bits


@pytest.mark.slow
@ONE_OF_EACH_FILE
def test_any_flipped_bit_of_the_manifest_is_refused_or_changes_nothing(name: str, damaged: Callable[[str], Path]) -> None:
    content = (damaged(name) / "manifest.json").read_bytes()
    refused = 0
    for bit in bits_of_manifest(content, 100):
        folder = damaged(name)
        (folder / "manifest.json").write_bytes(flipped(content, bit))
        said = outcome(name, folder)
        refused += said != "the same"
        shutil.rmtree(folder)
    assert refused > 10  # hashes and structure make up a fair part of it


@pytest.mark.parametrize("key", ["science", "status", "started", "manifest_version", "resumed", "data", "content_hash", "sciinf"])
@ONE_OF_EACH_FILE
def test_a_manifest_with_a_damaged_key_is_refused_or_changes_nothing(name: str, key: str, damaged: Callable[[str], Path]) -> None:
    folder = damaged(name)
    path = folder / "manifest.json"
    path.write_text(re.sub(f'"{key}":', f'"{key[:-1]}~":', path.read_text()))
    said = outcome(name, folder)
    assert (said == "the same") == (key in ("resumed", "data"))
    assert said == "the same" or "manifest" in said or "has changed" in said


@EVERY_SAMPLER
@pytest.mark.parametrize("keep", [0, 1, 45, 46, 47, 200, 0.5, -2], ids=str)
def test_a_truncated_file_is_refused(name: str, keep: float, damaged: Callable[[str], Path]) -> None:
    folder = damaged(name)
    for item in ("checkpoint.bin", "manifest.json", *[file for file in files_of(folder) if "segment-000000" in file]):
        path = folder / item
        content = path.read_bytes()
        path.write_bytes(content[: int(keep * len(content)) if keep == 0.5 else int(keep)])
        assert re.search(rf"{item}[: ]|'manifest.json'", said := outcome(name, folder)), said
        path.write_bytes(content)
    assert outcome(name, folder) == "the same"


@EVERY_SAMPLER
def test_a_file_that_is_gone_is_refused_or_not_needed(name: str, damaged: Callable[[str], Path]) -> None:
    said = {}
    for item in files_of(damaged(name)):
        folder = damaged(name)
        (folder / item).unlink()
        said[item] = outcome(name, folder)
    not_needed = {item for item, text in said.items() if text == "the same"}
    assert not_needed == {"checkpoint.bin", "checkpoint.previous.bin", "run.log"}  # of the two checkpoints, one
    assert "is not a run directory (it has no manifest.json)" in said["manifest.json"]
    for item in said.keys() - not_needed - {"manifest.json"}:
        assert said[item].startswith(f"{item} cannot be read")


@EVERY_SAMPLER
def test_without_any_checkpoint_it_starts_again_and_says_so(name: str, damaged: Callable[[str], Path]) -> None:
    folder = damaged(name)
    for item in folder.glob("checkpoint*"):
        item.unlink()
    assert outcome(name, folder) == "the same"
    assert "no checkpoint is left" in (folder / "run.log").read_text()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"seed": 4}, "seed"),
        ({"problem": problem_of(half_width=6.0)}, "parameters"),
        ({"problem": problem_of(function=known.constant)}, "engine"),
        ({"problem": problem_of(correlation=0.61)}, "engine"),
    ],
    ids=["seed", "prior", "likelihood", "data"],
)
@EVERY_SAMPLER
def test_a_changed_problem_is_refused_with_both_hashes(
    name: str, change: dict[str, Any], part: str, damaged: Callable[[str], Path]
) -> None:
    folder = damaged(name)
    assert re.search(rf"{part}: was [0-9a-f]{{64}}, is [0-9a-f]{{64}}", outcome(name, folder, **change))
    assert outcome(name, folder) == "the same"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("compiled nested", Dynesty(n_live=61, walks=25, engine="compiled")),
        ("compiled nested", Dynesty(n_live=60, walks=26, engine="compiled")),
        ("compiled nested", Dynesty(n_live=60, walks=25, bound="single", engine="compiled")),
        ("compiled stretch", Emcee(n_walkers=12, n_steps=2001, tau_multiple=1.0, engine="compiled")),
        ("compiled stretch", Emcee(n_walkers=12, n_steps=2000, tau_multiple=1.0, moves="de", engine="compiled")),
        ("compiled stretch", Emcee(n_walkers=12, n_steps=2000, tau_multiple=1.0, engine="emcee")),
        ("emcee", Emcee(n_walkers=12, n_steps=200, tau_multiple=1.0, moves="de", engine="emcee")),
        ("static", Dynesty(n_live=30, walks=6, dlogz=1.0, engine="dynesty")),
        ("compiled proposals", Dynesty(n_live=30, walks=5, dlogz=1.0, bound="balls", engine="dynesty")),
    ],
)
def test_a_changed_setting_is_refused(name: str, settings: Settings, damaged: Callable[[str], Path]) -> None:
    folder = damaged(name)
    assert re.search(r"sampler: was [0-9a-f]{64}, is [0-9a-f]{64}", outcome(name, folder, settings=settings))
    assert outcome(name, folder) == "the same"


@EVERY_SAMPLER
@pytest.mark.parametrize("package", ["sciinf", "numpy", "scipy", "numba", "python", "the sampler"])
def test_another_version_is_refused(name: str, package: str, damaged: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = damaged(name)
    package = SETTINGS[name].kind if package == "the sampler" else package
    version, same = checkpoints.metadata.version, checkpoints.sampler_versions(SETTINGS[name].kind)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.metadata, "version", lambda item: "99.1" if item == package else version(item))
        patch.setattr(checkpoints.platform, "python_version", lambda: "99.1" if package == "python" else same["python"])
        if package == "sciinf":
            patch.setattr(sciinf, "__version__", "99.1")
        for force in (False, True):
            said = outcome(name, folder, force=force)
            assert re.search(rf"{package}.* {re.escape(same[package])}.*99\.1", said), said
    assert outcome(name, folder) == "the same"


@pytest.fixture(params=["at once", "half way"])
def full_disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Called with n: after n whole files the disk is full for good, noticed before or within the writing of a file's bytes."""
    left, original, context = [10**9], Path.write_bytes, pytest.MonkeyPatch()

    def write_bytes(path: Path, data: Any) -> int:
        left[0] -= 1
        if left[0] >= 0:
            return original(path, data)
        original(path, b"" if request.param == "at once" else data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def begin(n: int) -> None:
        left[0] = n
        context.setattr(Path, "write_bytes", write_bytes)

    begin.free = context.undo  # type: ignore[attr-defined]
    yield begin
    context.undo()


@EVERY_SAMPLER
@pytest.mark.parametrize("files", [0, 1, 2, 3, 5, 6])
def test_a_full_disk_stops_the_run_and_resume_gives_the_same_bytes(
    name: str, files: int, full_disk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    full_disk(files)
    with monkeypatch.context() as patch, pytest.raises(SciinfError, match=r"could not be written \(No space left on device\).*resume"):
        patch.setattr(Session, "checkpoint_due", lambda self: True)
        run(name, folder)
    full_disk.free()
    assert not list(folder.glob(".*.part"))
    assert (folder / "checkpoint.bin").exists() == (files > (2 if name in CHAINS else 1))
    assert outcome(name, folder) == "the same"


@EVERY_SAMPLER
def test_a_disk_that_fills_up_later_keeps_both_checkpoints(
    name: str, full_disk: Any, damaged: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = damaged(name)
    before = {item: (folder / item).read_bytes() for item in files_of(folder) if item.startswith("checkpoint")}
    full_disk(1)  # the manifest
    with (
        monkeypatch.context() as patch,
        pytest.raises(SciinfError, match=r"checkpoint.bin could not be written \(No space left on device\)"),
    ):
        patch.setattr(Session, "checkpoint_due", lambda self: True)
        run(name, folder, resume=True)
    full_disk.free()
    assert {item: (folder / item).read_bytes() for item in before} == before
    assert outcome(name, folder) == "the same"


@EVERY_SAMPLER
@pytest.mark.parametrize("lost", ["posterior.h5", "summary.txt", "manifest.json"])
def test_a_disk_full_at_the_very_end_keeps_the_checkpoint(
    name: str, lost: str, damaged: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, original = damaged(name), Path.replace
    full = [lost != "manifest.json"]

    def replace(path: Path, target: Path) -> Path:
        if Path(target).name == lost and full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        full[0] |= Path(target).name == "summary.txt"
        return original(path, target)

    with monkeypatch.context() as patch, pytest.raises(SciinfError, match=rf"{lost} could not be written \(No space left on device\)"):
        patch.setattr(Path, "replace", replace)
        run(name, folder, resume=True)
    assert (folder / "checkpoint.bin").exists()
    assert run(name, folder, resume=True) == expected(name)
    assert files_of(folder) == ["manifest.json", "posterior.h5", "run.log", "summary.txt"]


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting needs root on Linux")
@EVERY_SAMPLER
def test_a_disk_that_is_really_full(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file system, its space taken by another file while the run is under way."""
    import subprocess

    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)], capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        folder, original, saves = disk / "run", Session.save, [0]

        def save(self: Session, iterations: int, body: Any) -> None:
            saves[0] += 1
            if saves[0] == 4:
                with pytest.raises(OSError, match="No space left"), (disk / "other").open("wb") as stream:
                    while True:
                        stream.write(bytes(4096))
                        stream.flush()
            original(self, iterations, body)

        with monkeypatch.context() as patch, pytest.raises(SciinfError, match=r"checkpoint.bin could not be written \(No space left"):
            patch.setattr(Session, "checkpoint_due", lambda self: True)
            patch.setattr(Session, "save", save)
            run(name, folder)
        with pytest.raises(ConfigError, match=r"cannot be written \(No space left|MiB left"):
            run(name, folder, resume=True)
        (disk / "other").unlink()
        assert outcome(name, folder) == "the same"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@EVERY_SAMPLER
def test_without_hard_links_the_previous_checkpoint_is_kept_too(
    name: str, damaged: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, original = damaged(name), Path.replace
    newest = (folder / "checkpoint.bin").read_bytes()

    def no_links(*paths: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    def stop_between(path: Path, target: Path) -> Path:
        if Path(target).name == "checkpoint.bin":
            raise KeyboardInterrupt
        return original(path, target)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(os, "link", no_links)
        patch.setattr(Path, "replace", stop_between)
        patch.setattr(Session, "checkpoint_due", lambda self: True)
        run(name, folder, resume=True)
    assert not (folder / "checkpoint.bin").exists()
    assert (folder / "checkpoint.previous.bin").read_bytes() == newest
    assert outcome(name, folder) == "the same"


@EVERY_SAMPLER
def test_a_run_killed_before_its_manifest_was_whole_starts(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for left in ("run.lock", ".manifest.json.x1y2.part"):
        (folder / left).write_bytes(b"{")
    assert outcome(name, folder) == "the same"
    assert files_of(folder) == ["manifest.json", "posterior.h5", "run.log", "summary.txt"]


@EVERY_SAMPLER
def test_a_refused_resume_leaves_the_directory_as_it_was(name: str, damaged: Callable[[str], Path]) -> None:
    folder = damaged(name)
    (folder / "checkpoint.bin").write_bytes(b"damaged")
    before = {item: (folder / item).read_bytes() for item in files_of(folder) if item != "run.log"}
    assert "checkpoint.previous.bin is whole" in outcome(name, folder)
    assert {item: (folder / item).read_bytes() for item in before} == before


def test_force_says_how_to_resume_and_needs_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs resume=True"):
        run("emcee", tmp_path / "run", force=True)
