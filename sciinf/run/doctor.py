"""What this installation has: versions, threads, data, and whether kernels are already compiled."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sciinf
from sciinf.core.errors import SciinfError

__all__ = ["Finding", "examine"]

_REQUIRED = (
    *("numpy", "scipy", "numba", "emcee", "dynesty", "astropy", "statsmodels", "h5py"),
    *("matplotlib", "corner", "threadpoolctl", "rich", "typer", "jinja2"),
)
_OPTIONAL = {"camb": "cmb", "cosmofit": "planck", "jax": "train", "dask": "dask", "arviz": "arviz", "getdist": "getdist", "sklearn": "test"}
_DISTRIBUTIONS = {"sklearn": "scikit-learn"}
_KERNEL = re.compile(r"^@kernel\(", re.MULTILINE)
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Finding:
    """One line of the examination. ``state`` is "ok", "absent" (optional), or "wrong"."""

    topic: str
    what: str
    value: str
    state: str = "ok"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)


def _version(module: str) -> str | None:
    try:
        return importlib.metadata.version(_DISTRIBUTIONS.get(module, module))
    except importlib.metadata.PackageNotFoundError:
        return None


def versions() -> list[Finding]:
    """Python, this package and what it stands on."""
    found = [Finding("versions", "sciinf", sciinf.__version__), Finding("versions", "python", platform.python_version())]
    for name in _REQUIRED:
        version = _version(name)
        found.append(Finding("versions", name, version or "not installed (required)", "ok" if version else "wrong"))
    for name, extra in _OPTIONAL.items():
        version = _version(name)
        found.append(Finding("versions", name, version or f'not installed; pip install "sciinf[{extra}]"', "ok" if version else "absent"))
    return found


def threads() -> list[Finding]:
    """Processors, thread variables and the BLAS in use."""
    import threadpoolctl

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = [Finding("threads", "processors", f"{usable} usable, {platform.machine()}, {platform.system()}")]
    found += [Finding("threads", name, os.environ.get(name, "not set")) for name in _THREAD_VARIABLES]
    import numpy as np

    np.ones((2, 2)) @ np.ones((2, 2))  # loads the BLAS
    for pool in threadpoolctl.threadpool_info():
        kernel = f", {pool['architecture']} kernels" if pool.get("architecture") else ""
        found.append(Finding("threads", pool["internal_api"], f"{pool.get('version')}, {pool['num_threads']} threads{kernel}"))
    return found


def planck() -> list[Finding]:
    """Whether the Planck files are found, and whether the likelihood reproduces its reference values on them."""
    try:
        from sciinf.engines import cmb
    except ImportError as error:
        return [Finding("data", "Planck 2018", f"engine cannot be imported: {error}", "wrong")]
    try:
        files = cmb.planck_data()
    except SciinfError as error:
        return [Finding("data", "Planck 2018", str(error), "absent")]
    found = [Finding("data", "Planck 2018", f"found ({getattr(files, 'source', 'folder')}), hashes agree")]
    try:
        table = cmb.self_test(files)
        found.append(Finding("data", "Planck 2018 self test", str(table).partition("\n")[0], "ok" if table.passed else "wrong"))
    except SciinfError as error:
        found.append(Finding("data", "Planck 2018 self test", str(error), "wrong"))
    return found


def kernels() -> list[Finding]:
    """Which compiled kernels are in numba's disk cache, and whether it can be written."""
    package = Path(sciinf.__file__).parent
    sources = [path for path in sorted(package.rglob("*.py")) if path.stem != "jit" and _KERNEL.search(path.read_text(encoding="utf-8"))]
    own = os.environ.get("NUMBA_CACHE_DIR")
    folders = [Path(own)] if own else sorted({path.parent / "__pycache__" for path in sources})
    compiled = [name for path in sources if (name := _cached(path, folders))]
    state = f"{len(compiled)} of {len(sources)} kernel files compiled"
    missing = [path.relative_to(package).as_posix() for path in sources if path.stem not in compiled]
    if missing:
        state += f"; the first call compiles {', '.join(missing)} (seconds, once)"
    found = [Finding("numba", "cache", state)]
    where = "NUMBA_CACHE_DIR" if own else "beside the package"
    writable = all(os.access(folder if folder.is_dir() else folder.parent, os.W_OK) for folder in folders)
    found.append(
        Finding(
            "numba",
            "cache folder",
            f"{where}, writable" if writable else f"{where}, not writable: set NUMBA_CACHE_DIR",
            "ok" if writable else "wrong",
        )
    )
    return found


def cache_tag() -> str:
    """What numba puts into the names of its index files for this Python."""
    return f"py{sys.version_info.major}{sys.version_info.minor}"


def _cached(source: Path, folders: list[Path]) -> str | None:
    """The stem of ``source`` if one of its functions has an index file in a cache folder."""
    pattern = f"{source.stem}.*{cache_tag()}*.nbi"
    return source.stem if any(next(folder.rglob(pattern), None) for folder in folders if folder.is_dir()) else None


def examine() -> list[Finding]:
    """Everything, in the order of the printed table."""
    return [*versions(), *threads(), *planck(), *kernels()]
