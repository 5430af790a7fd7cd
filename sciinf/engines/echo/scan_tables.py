"""The scan's tables: scores of single teeth over their centres, summed over combs of every spacing and offset."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sciinf.engines.echo.scan_space import SearchSpace

__all__ = ["CELLS_PER_TABLE", "ToothTables", "teeth"]

FloatArray = NDArray[np.float64]

_FINER = 2  # centres of the table per step of the offset
_LEAST_SNR, _AMPLITUDE_RATIO, _MOST_AMPLITUDES = 3.0, 1.45, 24
_CUT_RATIO = 1.15  # spacings whose lines are cut at half the spacing share a table within this ratio
_CHUNK = 8192  # spacings per call of the kernel
_MOST_ROWS, _MOST_COLUMNS = 512, 256
CELLS_PER_TABLE = 128
"""Best cells kept per width and phase, at least."""


class ToothTables:
    """The map and the best cells, gathered width by width."""

    def __init__(self, search: SearchSpace, steps: float, n_spacing: int | None, n_offset: int | None) -> None:
        self.search, self.steps, self.n_spacing, self.n_offset = search, steps, n_spacing, n_offset
        self.band = search.engine.band_limits
        low, high = search.box["spacing"]
        widest = self.step(search.box["width"][1])
        narrow = self.spacings(self.step(search.box["width"][0]))
        room = float(search.offset_room(np.array([high]))[0])
        self.columns = int(min(max(math.floor(room / widest), 1), _MOST_COLUMNS))
        rows = int(min(len(self.spacings(widest)), _MOST_ROWS))
        self.edges = np.geomspace(low, high, rows + 1) if high > low else np.array([low, low])
        self.grid = np.full((len(self.edges) - 1, self.columns), -np.inf)
        self.counts: list[int] = []
        self.n_points = 0
        self.cells: list[FloatArray] = []
        self.finest = len(narrow)

    def map(self) -> FloatArray:
        """The map (n_rows, n_columns); a column without an offset of its own has that of the last one before it."""
        known = np.isfinite(self.grid)
        columns = np.tile(np.arange(2 * self.columns), (len(self.grid), 1))
        columns[~np.hstack([known, known])] = 0
        last = np.maximum.accumulate(columns, axis=1)[:, self.columns :] % self.columns
        return np.asarray(np.take_along_axis(self.grid, last, axis=1))

    def step(self, width: float) -> float:
        """Step of the offset in Hz."""
        if self.n_offset is not None:
            return self.search.box["spacing"][1] / self.n_offset
        return self.steps * self.search.offset_step(width)

    def step_unit(self, width: float) -> float:
        """`step` over the number of steps of the rule that it is."""
        return self.step(width) / self.steps

    def spacings(self, step: float) -> FloatArray:
        """Spacings in Hz: the last tooth in the band moves by one step from one to the next."""
        low, high = self.search.box["spacing"]
        if high == low:
            return np.array([low])
        n = self.n_spacing
        if n is None:
            n = 2 + math.ceil(math.log(high / low) / math.log1p(step / (self.band[1] - self.band[0])))
        return np.geomspace(low, high, n) if n > 1 else np.array([math.sqrt(low * high)])

    def add(self, width: float, phases: FloatArray, n_cells: int) -> None:
        """Scan all spacings and offsets at one width and one set of phases."""
        from scipy.ndimage import maximum_filter1d

        step = self.step(width)
        spacings = self.spacings(step)
        self.counts.append(len(spacings))
        parts = [self._group(group, width, cut, phases, step) for group, cut in self._groups(spacings, width)]
        cells = np.concatenate(parts)  # spacing, f0, ln L
        peaks = np.flatnonzero(cells[:, 2] >= maximum_filter1d(cells[:, 2], 5, mode="nearest"))
        best = peaks[np.argsort(-cells[peaks, 2], kind="stable")[:n_cells]]
        rest = np.broadcast_to([width, *phases], (len(best), 1 + len(phases)))
        self.cells.append(np.hstack([cells[best], rest]))

    def _groups(self, spacings: FloatArray, width: float) -> list[tuple[FloatArray, float]]:
        """Spacings that share a table, and the cut of their lines in rad/s: each line's own, or half of the group's least spacing."""
        template, duration = self.search.engine.template, self.search.engine.duration
        assert not isinstance(template, str)
        own = template.cut(width, math.inf, duration)
        free = spacings * math.pi >= own
        groups = [(spacings[free], own)] if np.any(free) else []
        rest = spacings[~free]
        while len(rest):
            n = int(np.searchsorted(rest, rest[0] * _CUT_RATIO, side="right"))
            groups.append((rest[:n], math.pi * math.sqrt(float(rest[0] * rest[n - 1]))))
            rest = rest[n:]
        return groups

    def _group(self, spacings: FloatArray, width: float, cut: float, phases: FloatArray, step: float) -> FloatArray:
        """Best offset of each spacing: (n, 3) of spacing, f0 in Hz, ln L."""
        from sciinf.engines.echo.scan_kernels import sweep

        search, fine = self.search, step / _FINER
        low, high = self.band
        reach = cut / (2.0 * math.pi) + 2.0 / search.engine.duration
        first = search.first_offset(spacings)
        n_offset = np.maximum(1, np.ceil(search.offset_room(spacings) / step - 1e-9)).astype(np.int64)
        n_first = np.ceil((low - reach - first - (n_offset - 1) * step) / spacings).astype(np.int64)
        n_last = np.floor((high + reach - first) / spacings).astype(np.int64)
        origin = float(np.min(first + n_first * spacings)) - step
        end = float(np.max(first + n_last * spacings + n_offset * step)) + 2.0 * step
        length = math.ceil((end - origin) / step) + 1
        table, amplitudes, per_tooth = self._table(origin, fine, length, (low - reach, high + reach), width, cut, phases)
        # Amplitudes of no less than the least SNR that the comb's teeth could have together.
        snr = amplitudes[None, :] * np.sqrt(per_tooth * np.maximum(n_last - n_first + 1, 1))[:, None]
        k_first = np.minimum(np.sum(snr < _LEAST_SNR, axis=1), len(amplitudes) - 1)
        ranges = np.column_stack([n_offset, n_first, n_last, k_first, np.full(len(spacings), len(amplitudes))]).astype(np.int64)
        combs = np.column_stack([spacings, first - origin])
        rows = np.clip(np.searchsorted(self.edges, spacings, side="right") - 1, 0, len(self.grid) - 1).astype(np.int64)
        top, found = np.empty(len(spacings)), np.column_stack([np.zeros(len(spacings)), first / spacings % 1.0])
        for at in range(0, len(spacings), _CHUNK):
            part = slice(at, at + _CHUNK)
            sweep(table, fine, _FINER, combs[part], ranges[part], int(search.is_free), self.grid, rows[part], top[part], found[part])
        self.n_points += int(np.sum(n_offset))
        return np.column_stack([spacings, first + found[:, 0] * step, top])

    def _table(
        self, origin: float, fine: float, length: int, band: tuple[float, float], width: float, cut: float, phases: FloatArray
    ) -> tuple[NDArray[np.float32], FloatArray, float]:
        """Scores of teeth (finer, n_amplitudes, length) at centres ``fine`` apart from ``origin``; the amplitudes; E of the mean tooth."""
        from sciinf.engines.echo.scan_kernels import tooth_scores

        search = self.search
        first = max(math.floor((band[0] - origin) / fine), 0)
        last = min(math.ceil((band[1] - origin) / fine), _FINER * length - 1)
        centres = origin + fine * np.arange(first, last + 1)
        sums, each = teeth(search, np.asarray(centres, dtype=np.float64), width, cut, phases)
        norm = sums[1][sums[1] > 0.0]
        per_tooth = float(np.mean(norm)) if len(norm) else 0.0
        amplitudes = np.ones(1)
        if len(norm):
            good = sums[1] > 1e-3 * per_tooth
            most = float(np.max(np.abs(sums[0][good]) / sums[1][good]))
            teeth_most = (band[1] - band[0]) / search.box["spacing"][0] + 1.0
            least = min(_LEAST_SNR / math.sqrt(per_tooth * teeth_most), most)
            n = min(2 + math.floor(math.log(most / least) / math.log(_AMPLITUDE_RATIO)), _MOST_AMPLITUDES)
            amplitudes = np.geomspace(least, most, n)
        scores = np.zeros((len(amplitudes), _FINER * length), dtype=np.float32)
        scores[:, first : last + 1] = tooth_scores(amplitudes, sums, each, search.engine.compiled().ints)
        turned = scores.reshape(len(amplitudes), length, _FINER).transpose(2, 0, 1)
        return np.ascontiguousarray(turned), amplitudes, per_tooth


def teeth(search: SearchSpace, centres: FloatArray, width: float, cut: float, phases: FloatArray) -> tuple[FloatArray, FloatArray]:
    """K and E (2, n) of teeth of unit amplitude at ``centres`` in Hz, and the K of their bins where each has its phase."""
    from sciinf.engines.echo.scan_kernels import tooth_sums

    packed = search.engine.compiled()
    most = math.ceil(cut / math.pi * search.engine.duration) + 2 if search.engine.phase == "bin" else 0
    each = np.zeros((len(centres), most))
    return tooth_sums(np.ascontiguousarray(centres), width, cut, np.array(phases, dtype=np.float64), packed.floats, packed.ints, each), each
