"""The manifest of a run: what ran, on which data, with which versions and seed, how it ended, and the hash of what came out."""

from __future__ import annotations

import functools
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import sciinf
from sciinf.core.atomic import write_text
from sciinf.core.counters import Counts
from sciinf.core.engine import comparison_key_of, comparison_parts_of, provenance_of
from sciinf.core.errors import DataError, ResumeError
from sciinf.core.fingerprint import sha256_of
from sciinf.core.problem import Problem

__all__ = ["MANIFEST_VERSION", "RUN_STATUSES", "RunStatus", "build", "check_same_science", "finished", "read", "science", "write"]

MANIFEST_VERSION = 1
RunStatus = Literal["running", "interrupted", "not_converged", "failed", "complete"]
RUN_STATUSES: tuple[RunStatus, ...] = ("running", "interrupted", "not_converged", "failed", "complete")
_BUDGETS = ("max_steps",)  # sampler keys that limit a run without changing what it converges to
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@functools.cache
def _versions() -> dict[str, str]:
    """Versions of Python and of each dependency that is installed."""
    found = {"python": platform.python_version()}
    try:
        required = metadata.requires("sciinf") or []
    except metadata.PackageNotFoundError:
        required = ["numpy", "scipy", "numba", "emcee", "dynesty", "h5py"]
    for text in required:
        match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", text)
        if match:
            try:
                found[match[0].lower()] = metadata.version(match[0])
            except metadata.PackageNotFoundError:
                continue
    return dict(sorted(found.items()))


@functools.cache
def _commit() -> str | None:
    """Commit of the source that runs, with "-dirty" where files differ from it; None outside a checkout."""
    root = Path(sciinf.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        answer = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


@functools.cache
def _cpu_model() -> str:
    """Model name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _blas() -> list[dict[str, Any]]:
    """Linear algebra libraries loaded and their threads, without their paths."""
    from threadpoolctl import threadpool_info

    kept = ("user_api", "internal_api", "num_threads", "version", "architecture")
    return [{key: item[key] for key in kept if key in item} for item in threadpool_info()]


def science(problem: Problem, sampler: Mapping[str, Any], seed: int, repeats: int) -> dict[str, str]:
    """Hashes of what decides the result, part by part, and of all of it (``science_hash``).

    Parameters
    ----------
    problem : Problem
        Engine, priors and NaN policy.
    sampler : mapping
        Resolved settings, JSON-able; budgets in it do not count.
    seed, repeats : int
        Master seed and number of repeats.
    """
    settings = {key: value for key, value in sampler.items() if key not in _BUDGETS}
    parts = {
        "engine": problem.engine.fingerprint(),
        "parameters": sha256_of(list(problem.engine.parameters), problem.priors.describe(), problem.on_nan),
        "sampler": sha256_of(settings),
        "seed": sha256_of(seed, repeats),
    }
    return {**parts, "science_hash": sha256_of("science", parts)}


def build(
    problem: Problem,
    sampler: Mapping[str, Any],
    *,
    seed: int,
    repeats: int,
    resources: Mapping[str, Any],
    streams: Sequence[str],
    origin: Mapping[str, Any],
) -> dict[str, Any]:
    """The manifest of a run that starts now.

    Parameters
    ----------
    problem : Problem
        What is sampled.
    sampler : mapping
        Resolved settings: engine, form, every option.
    seed, repeats : int
        Master seed and number of repeats.
    resources : mapping
        Workers, threads and budgets, JSON-able.
    streams : sequence of str
        Names of the child streams that the run draws from.
    origin : mapping
        ``{"origin": "python"}``, or ``{"origin": "toml", "config": {...}, ...}`` with what the runner adds.

    Returns
    -------
    dict
        JSON-able; no host name, user name or absolute path.
    """
    hashes = science(problem, sampler, seed, repeats)
    return {
        "manifest_version": MANIFEST_VERSION,
        "status": "running",
        **origin,
        "name": problem.name,
        "science_hash": hashes.pop("science_hash"),
        "science": hashes,
        "engine": {
            "class": f"{type(problem.engine).__module__}.{type(problem.engine).__qualname__}",
            "parameters": list(problem.engine.parameters),
            "fingerprint": problem.engine.fingerprint(),
            "comparison_key": comparison_key_of(problem.engine),
            "comparison_parts": dict(comparison_parts_of(problem.engine)),
        },
        "data": dict(provenance_of(problem.engine)),
        "priors": problem.priors.describe(),
        "on_nan": problem.on_nan,
        "sampler": dict(sampler),
        "seed": seed,
        "repeats": repeats,
        "streams": list(streams),
        "resources": dict(resources),
        "sciinf": {"version": sciinf.__version__, "commit": _commit()},
        "versions": _versions(),
        "machine": {
            "cpu": _cpu_model(),
            "architecture": platform.machine(),
            "system": platform.system(),
            "thread_environment": {name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ},
            "libraries": _blas(),
        },
        "started": _now(),
        "ended": None,
        "resumed": [],
        "counts": None,
        "iterations": None,
        "content_hash": None,
        "report": {},
    }


def finished(
    manifest: Mapping[str, Any],
    status: RunStatus,
    *,
    counts: Counts | None = None,
    iterations: int | None = None,
    content_hash: str | None = None,
    report: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The manifest of a run that has ended with ``status``."""
    return {
        **manifest,
        "status": status,
        "ended": _now(),
        "counts": manifest.get("counts") if counts is None else counts._asdict(),
        "iterations": iterations,
        "content_hash": content_hash,
        "report": dict(report or {}),
    }


def check_same_science(old: Mapping[str, Any], new: Mapping[str, Any], *, force: bool = False) -> list[str]:
    """What differs between the manifest on disk and that of the run that wants to go on; empty where nothing does.

    Raises
    ------
    ResumeError
        If something differs and ``force`` is not given; names each part with both hashes.
    """
    differ = [
        f"{part}: was {old.get('science', {}).get(part)}, is {value}"
        for part, value in new["science"].items()
        if old.get("science", {}).get(part) != value
    ]
    old_files, new_files = old.get("data", {}).get("files", {}), new["data"].get("files", {})
    differ += [
        f"data file {name}: was sha256 {old_files.get(name)}, is {new_files.get(name)}"
        for name in sorted({*old_files, *new_files})
        if old_files.get(name) != new_files.get(name)
    ]
    package = new["sampler"]["kind"]
    for name in (package, "sciinf"):
        was, now = _version_in(old, name), _version_in(new, name)
        if was != now:
            differ.append(f"version of {name}: was {was}, is {now}")
    if differ and not force:
        raise ResumeError(
            "this run cannot go on as it was, since something has changed. " + "; ".join(differ) + ". "
            "Put it back, start a new run, or resume with force (--force), which the manifest records"
        )
    return differ


def _version_in(manifest: Mapping[str, Any], name: str) -> str | None:
    found = manifest.get("sciinf", {}).get("version") if name == "sciinf" else manifest.get("versions", {}).get(name)
    return None if found is None else str(found)


def write(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest atomically, as indented JSON."""
    write_text(path, json.dumps(manifest, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read(path: Path) -> dict[str, Any]:
    """Read a manifest.

    Raises
    ------
    DataError
        If the file is missing, is not JSON, or was written by a newer version.
    """
    path = Path(path)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read ({error.strerror}): is this a run directory?") from error
    except ValueError as error:
        raise DataError(f"{path.name}: not a manifest ({error})") from error
    version = manifest.get("manifest_version") if isinstance(manifest, dict) else None
    if version != MANIFEST_VERSION:
        raise DataError(f"{path.name}: manifest version {version}, this version of sciinf reads {MANIFEST_VERSION}")
    found: dict[str, Any] = manifest
    return found
