"""Quantiles of each unit's sample: one sort per unit, units of similar size sorted together."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.engines.r3d import kernels
from sciinf.engines.r3d.settings import QuantileRule, one_of

if TYPE_CHECKING:
    from sciinf.engines.r3d.data import RaggedSample

__all__ = ["LEVEL_ROUNDING", "unit_quantiles"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LEVEL_ROUNDING = 1e-9
"""n q may land this far above an integer by rounding alone, and still means that order statistic."""

_GROWTH = 1.25  # sizes within a block differ by this factor at most: a fifth of it may be padding
_BLOCK_VALUES = 4 * 1024 * 1024  # 32 MiB
_LONG = 8192  # from here on a unit is sorted alone: padding would cost, and the loop costs nothing


def unit_quantiles(sample: RaggedSample, q_grid: ArrayLike, rule: QuantileRule = "type7") -> FloatArray:
    """Quantiles of each unit at each level.

    Parameters
    ----------
    sample : RaggedSample
        n units; weights count where there are any.
    q_grid : (n_q,) array
        Levels in (0, 1).
    rule : {"type7", "inverted_cdf"}
        "type7": linear interpolation at position (n_i - 1) q (R's default; NumPy's "linear"). "inverted_cdf": the smallest value with
        F_i(z) >= q, order statistic ceil(n_i q), where n_i q that exceeds an integer by rounding alone is that integer.

    Returns
    -------
    (n, n_q) float64 array
        In the outcome's unit, nondecreasing along a row.

    Notes
    -----
    Weighted "inverted_cdf" is the smallest value whose cumulative weight reaches q W; weighted "type7" is the rule of Hmisc's
    ``wtd.quantile`` with normalised weights, which is "type7" where weights are equal. Values of weight 0 never appear.
    A row depends on its unit alone, to the bit, whatever the other units are.
    """
    one_of("quantile_rule", rule, get_args(QuantileRule))
    levels = np.atleast_1d(np.asarray(q_grid, dtype=np.float64))
    out = np.empty((sample.n_units, len(levels)))
    if len(sample.values) == sample.n_units:  # one value each, which is every quantile
        out[:] = sample.values[:, None]
        return out
    if sample.weights is not None:
        _weighted(sample, levels, rule, out)
        return out
    for rows, size in _blocks(sample.sizes):
        block, sizes = _sorted_block(sample, rows, size), sample.sizes[rows]
        out[rows] = _read_type7(block, sizes, levels) if rule == "type7" else _read_inverted(block, sizes, levels)
    return out


def _blocks(sizes: IntArray) -> list[tuple[IntArray, int]]:
    """Units of similar size, and the width of their block; together at most 32 MiB, long units alone."""
    order = np.argsort(sizes, kind="stable")
    sorted_sizes = sizes[order]
    blocks: list[tuple[IntArray, int]] = []
    start = 0
    while start < len(order):
        smallest = int(sorted_sizes[start])
        if smallest >= _LONG:
            stop = start + 1
        else:
            stop = int(np.searchsorted(sorted_sizes, int(smallest * _GROWTH) + 1, side="left"))
            stop = max(start + 1, min(stop, start + _BLOCK_VALUES // int(sorted_sizes[stop - 1])))
        blocks.append((order[start:stop], int(sorted_sizes[stop - 1])))
        start = stop
    return blocks


def _sorted_block(sample: RaggedSample, rows: IntArray, size: int) -> FloatArray:
    """Values of the units, sorted, a row each; what is too much is +inf at the row's end."""
    block = np.empty((len(rows), size))
    kernels.fill_block(sample.values, sample.offsets, rows, block)
    block.sort(axis=1)  # NumPy's vectorised sort; a compiled one of our own was ten times slower
    return block


def _read_type7(block: FloatArray, sizes: IntArray, levels: FloatArray) -> FloatArray:
    out = np.empty((len(block), len(levels)))
    kernels.read_type7(block, sizes, levels, out)
    return out


def _read_inverted(block: FloatArray, sizes: IntArray, levels: FloatArray) -> FloatArray:
    order = np.ceil(sizes[:, None] * levels - LEVEL_ROUNDING).astype(np.int64)
    return np.take_along_axis(block, np.clip(order, 1, sizes[:, None]) - 1, axis=1)


def _weighted(sample: RaggedSample, levels: FloatArray, rule: QuantileRule, out: FloatArray) -> None:
    assert sample.weights is not None
    for i in range(sample.n_units):
        part = slice(sample.offsets[i], sample.offsets[i + 1])
        used = sample.weights[part] > 0.0
        values, weights = sample.values[part][used], sample.weights[part][used]
        order = np.lexsort((weights, values))
        kernels.read_weighted(values[order], weights[order], levels, int(rule == "type7"), out[i])
