"""Values that do not fit together: the same bytes however they come, memory, and time."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciinf.calibration.verdict import Verdict
from sciinf.core.fingerprint import sha256_of
from sciinf.core.seeding import generator
from sciinf.engines.r3d import RaggedSample, UnitQuantiles, extract_quantiles

__all__ = ["CHUNKS", "Extraction", "extract", "extraction"]

LEVELS = np.arange(1, 100) / 100

_UNITS = 100  # of a block
_SIZES = (500, 1500)  # values of a unit
_PERIOD = 40  # blocks of values that are drawn; a later block has the values of the one a period before, so reading costs nothing

CHUNKS = (40, 8, 1)
"""Blocks of about 1e5 values in a chunk: about 4e6, 8e5 and 1e5 values."""

_MIB = 2**20
_COPIES = 5.0  # of the table at the end: in parts, joined, in order of the labels, and what the allocator keeps; about 3 are needed


@dataclass(frozen=True)
class Extraction:
    """What one extraction took.

    Attributes
    ----------
    values : int
        Values read.
    digest : str
        sha256 of the table.
    cpu : float
        Processor seconds of the process that read, its threads included.
    peak, worker_peak : int
        Largest resident memory of that process and of a worker process, bytes.
    table : int
        Bytes of the quantiles.
    """

    values: int
    digest: str
    cpu: float
    peak: int
    worker_peak: int
    table: int


@dataclass(frozen=True, eq=False)
class _Source:
    """A long table that never exists: views of one period of values."""

    values: NDArray[np.float64]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, seed: int) -> _Source:
        rng = generator(seed, "r3d/scale")
        sizes = rng.integers(_SIZES[0], _SIZES[1] + 1, _UNITS)
        return cls(rng.standard_normal(_PERIOD * int(sizes.sum())), sizes)

    def chunks(self, n_blocks: int, each: int) -> Iterator[RaggedSample]:
        """Chunks of ``each`` blocks, a divisor of the period; the last may be shorter."""
        block = int(self.sizes.sum())
        for start in range(0, n_blocks, each):
            count = min(each, n_blocks - start)
            first = start % _PERIOD * block
            offsets = np.concatenate([[0], np.cumsum(np.tile(self.sizes, count))])
            labels = np.arange(_UNITS * start, _UNITS * (start + count))
            yield RaggedSample(self.values[first : first + count * block], offsets, labels=labels)


def peak_memory() -> int:
    """Largest resident memory of this process so far, bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # of this program alone: elsewhere a parent's may count too
        return int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _worker_peaks(executor: Executor, workers: int) -> int:
    return max(future.result() for future in [executor.submit(peak_memory) for _ in range(4 * workers)])


def digest(table: UnitQuantiles) -> str:
    """sha256 of all that a table holds."""
    assert table.counts is not None
    return sha256_of("table", table.labels, table.quantiles, table.counts, table.means, table.weight_sums)


def extract(seed: int, n_values: int, each: int, kind: str, workers: int) -> Extraction:
    """Extract in this process: about ``n_values`` in chunks of ``each`` blocks, by ``workers`` threads or processes."""
    source = _Source.of(seed)
    n_blocks = max(1, n_values // int(source.sizes.sum()))
    chunks, worker_peak, started = source.chunks(n_blocks, each), 0, time.process_time()
    if kind == "processes":
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as processes:
            table = extract_quantiles(chunks, LEVELS, workers=processes)
            worker_peak = _worker_peaks(processes, workers)
    elif workers == 1:
        table = extract_quantiles(chunks, LEVELS)
    else:
        with ThreadPoolExecutor(workers) as threads:
            table = extract_quantiles(chunks, LEVELS, workers=threads)
    cpu = time.process_time() - started
    return Extraction(n_blocks * int(source.sizes.sum()), digest(table), cpu, peak_memory(), worker_peak, table.quantiles.nbytes)


def _alone(seed: int, n_values: int, each: int, kind: str, workers: int) -> Extraction:
    """`extract` in a fresh process, whose memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        return executor.submit(extract, seed, n_values, each, kind, workers).result()


def extraction(n_values: int, seed: int, repeats: int) -> tuple[list[Verdict], list[tuple[str, ...]]]:
    """Bytes and memory of the extraction of ``n_values``; where ``repeats`` is not 0 time and memory beside those of a tenth."""
    ways = [(each, "threads", workers) for each in CHUNKS for workers in (1, 2)]
    found = [extract(seed, n_values, *way) for way in ways]
    ways.append((CHUNKS[0], "processes", 2))
    found.append(_alone(seed, n_values, *ways[-1]))
    block = int(_Source.of(seed).sizes.sum())
    rows: list[tuple[str, ...]] = [
        (f"{one.values:.2e}", f"{each * block:.1e}", f"{workers} {kind}", f"{1e9 * one.cpu / one.values:.1f}")
        for (each, kind, workers), one in zip(ways, found, strict=True)
    ]
    same = len({one.digest for one in found}) == 1
    detail = f"three ways of cutting {found[0].values:.1e} values, 1 and 2 threads, 2 processes"
    out = [Verdict("extraction: same bytes", float(same), None, len(found), same, detail)]
    bound, peak = 6 * 8 * block * CHUNKS[0] + 300 * _MIB, found[-1].worker_peak
    detail = f"largest memory of a worker process {peak / _MIB:.0f} MiB; bound 6 chunks and 300 MiB, {bound / _MIB:.0f} MiB"
    out.append(Verdict("extraction: memory of a worker", peak / bound, None, 2, peak <= bound, detail))
    if repeats:
        small, large = (_alone(seed, n, CHUNKS[0], "threads", 1) for n in (n_values // 10, n_values))
        out += [_memory(small, large), _linear(*_turns(seed, n_values, repeats))]
    return out, rows


def _timed(seed: int, n_values: int, repeats: int) -> tuple[list[Extraction], list[Extraction]]:
    """A tenth of the values and all of them, turn by turn, after one extraction that is not counted: it fetches the memory."""
    extract(seed, n_values, CHUNKS[0], "threads", 1)
    turns = [[extract(seed, n, CHUNKS[0], "threads", 1) for n in (n_values // 10, n_values)] for _ in range(repeats)]
    return [turn[0] for turn in turns], [turn[1] for turn in turns]


def _turns(seed: int, n_values: int, repeats: int) -> tuple[list[Extraction], list[Extraction]]:
    """`_timed` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        return executor.submit(_timed, seed, n_values, repeats).result()


def _linear(small: list[Extraction], large: list[Extraction]) -> Verdict:
    """Time per value, from a tenth of the values to all; the least of each, since other load only adds."""
    least = [min(one.cpu / one.values for one in each) for each in (small, large)]
    ratio = least[1] / least[0]
    text = (
        f"least processor time per value, {1e9 * least[1]:.1f} ns for {large[0].values:.0e}, {1e9 * least[0]:.1f} for {small[0].values:.0e}"
    )
    return Verdict("extraction: time is linear", ratio, None, len(small) + len(large), abs(ratio - 1.0) < 0.15, f"{text}; bound 15 %")


def _memory(small: Extraction, large: Extraction) -> Verdict:
    """Memory of the process that reads, from a tenth of the values to all."""
    grown = (large.peak - small.peak) / (large.table - small.table)
    detail = (
        f"largest memory of the reading process {small.peak / _MIB:.0f} and {large.peak / _MIB:.0f} MiB: growth over that of the table of "
        f"quantiles; bound {_COPIES:g}: values are not kept"
    )
    return Verdict("extraction: memory of the reader", grown, None, 2, grown < _COPIES, detail)
