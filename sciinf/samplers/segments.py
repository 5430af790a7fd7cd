"""An emcee chain on disk while it grows: immutable segment files, and a small state that names them with their checksums."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sciinf.core.atomic import write_bytes
from sciinf.core.errors import DataError, ResumeError

__all__ = ["Segments"]


class Segments:
    """Segment files ``STEM.segment-000000.npz``, ... of one run.

    Parameters
    ----------
    folder : Path
        The run directory.
    stem : str
        First part of the files' names.
    """

    def __init__(self, folder: Path, stem: str) -> None:
        self.folder, self.stem = Path(folder), stem
        self._written: list[dict[str, Any]] = []

    def _path(self, index: int) -> Path:
        return self.folder / f"{self.stem}.segment-{index:06d}.npz"

    def write(self, backend: Any, random_state: Any, notes: Mapping[str, Any]) -> bytes:
        """Write the steps that no segment holds yet as one more; return the state that names all of them (JSON)."""
        first, last = self._steps(), int(backend.iteration)
        if last > first:
            buffer = io.BytesIO()
            np.savez(buffer, chain=backend.chain[first:last], log_prob=backend.log_prob[first:last], blobs=backend.blobs[first:last])
            content = buffer.getvalue()
            write_bytes(self._path(len(self._written)), content)
            self._written.append({"steps": last - first, "sha256": hashlib.sha256(content).hexdigest()})
        kind, keys, position, has_gauss, gauss = random_state
        state = {
            "segments": self._written,
            "accepted": [int(n) for n in backend.accepted],
            "random_state": [kind, [int(key) for key in keys], int(position), int(has_gauss), float(gauss)],
            **notes,
        }
        return json.dumps(state, sort_keys=True).encode()

    def _steps(self) -> int:
        return sum(int(segment["steps"]) for segment in self._written)

    def verify(self, body: bytes) -> None:
        """Hold the segments that ``body`` names against their checksums.

        Raises
        ------
        DataError
            If one is missing or damaged.
        """
        for index, segment in enumerate(json.loads(body)["segments"]):
            self._content(index, segment["sha256"])

    def read(self, body: bytes, backend: Any) -> dict[str, Any]:
        """Fill an empty emcee backend with the steps that ``body`` names; return what `write` was given beside.

        Raises
        ------
        DataError
            If a segment is missing or damaged.
        ResumeError
            If a segment holds another number of walkers or parameters.
        """
        state: dict[str, Any] = json.loads(body)
        self._written = list(state["segments"])
        parts = [self._load(index, segment["sha256"]) for index, segment in enumerate(self._written)]
        if parts[0]["chain"].shape[1:] != backend.shape:
            raise ResumeError(
                f"the checkpoint holds {parts[0]['chain'].shape[1]} walkers of {parts[0]['chain'].shape[2]} parameters, the run asks for "
                f"{backend.shape[0]} of {backend.shape[1]}. Start a new run"
            )
        backend.chain = np.concatenate([part["chain"] for part in parts])
        backend.log_prob = np.concatenate([part["log_prob"] for part in parts])
        backend.blobs = np.concatenate([part["blobs"] for part in parts])
        backend.iteration = len(backend.chain)
        backend.accepted = np.array(state["accepted"], dtype=backend.dtype)
        kind, keys, position, has_gauss, gauss = state["random_state"]
        backend.random_state = (kind, np.array(keys, dtype=np.uint32), position, has_gauss, gauss)
        return state

    def _content(self, index: int, expected: str) -> bytes:
        path = self._path(index)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path.name} cannot be read ({error.strerror})") from error
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            raise DataError(f"{path.name} is damaged: expected sha256 {expected}, found {found}")
        return content

    def _load(self, index: int, expected: str) -> dict[str, Any]:
        with np.load(io.BytesIO(self._content(index, expected)), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in ("chain", "log_prob", "blobs")}

    def remove(self) -> None:
        """Delete all segments of the run."""
        for path in self.folder.glob(f"{self.stem}.segment-*.npz"):
            path.unlink(missing_ok=True)
