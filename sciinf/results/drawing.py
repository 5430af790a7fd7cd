"""What the pictures share: figures unknown to pyplot, labels that matplotlib can set, ranges, smooth densities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sciinf.core.errors import ConfigError, DataError
from sciinf.results.weights import weighted_quantile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sciinf.results.posterior import Posterior

__all__ = [
    "COLOURS",
    "GREY",
    "MASSES",
    "Axis",
    "axis_of",
    "checked_names",
    "density_1d",
    "density_2d",
    "label_of",
    "mass_levels",
    "new_figure",
    "value_and_error",
]

COLOURS = ("#1f4e79", "#c0504d", "#4f8f3a", "#7f5aa2", "#c98a1b", "#3f9fb0")
GREY = "#666666"
MASSES = (0.6827, 0.9545)  # one and two sigma of a normal distribution, as enclosed probability
_FINE = (0.0005, 0.9995)
_BINS_1D, _BINS_2D = 160, 96
_BANDWIDTH = 0.9  # times Scott's rule: contours of a normal posterior of 2,000 effective samples grow by 3 %


class Axis(NamedTuple):
    """Range of one quantity in a picture, and its hard ends (infinite where there is none)."""

    low: float
    high: float
    hard_low: float = -np.inf
    hard_high: float = np.inf


def new_figure(width: float, height: float) -> Figure:
    """A figure (inches) with an Agg canvas, unknown to pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120)
    FigureCanvasAgg(figure)
    return figure


def label_of(posterior: Posterior, name: str, *, unit: bool = True) -> str:
    """Mathtext label of a quantity, with its unit; its plain name where matplotlib cannot set the LaTeX."""
    from matplotlib.mathtext import MathTextParser

    latex = dict(zip(posterior.names + posterior.derived_names, posterior.latex + posterior.derived_latex, strict=True))[name]
    text = f"${latex}$"
    try:
        MathTextParser("path").parse(text)
    except (ValueError, RuntimeError):
        text = name.replace("$", r"\$")
    suffix = dict(zip(posterior.names, posterior.units, strict=True)).get(name, "").replace("$", r"\$")
    return f"{text} [{suffix}]" if unit and suffix else text


def checked_names(posterior: Posterior, names: Sequence[str] | None) -> tuple[str, ...]:
    """Quantities to draw (default: the sampled ones); each must exist and be finite wherever there is weight.

    Raises
    ------
    ConfigError
        If a name is unknown or none is given.
    DataError
        If a quantity is not finite.
    """
    if isinstance(names, str) or (names is not None and not names):
        raise ConfigError(f"names must be a sequence of at least one name, got {names!r}")
    chosen = tuple(posterior.names if names is None else names)
    for name in chosen:
        if not np.isfinite(posterior.column(name)[posterior.weights > 0.0]).all():
            raise DataError(f"'{name}' is not finite everywhere and cannot be drawn: leave it out of names")
    return chosen


def axis_of(posterior: Posterior, name: str) -> Axis:
    """A range that shows nearly all mass of a quantity and a margin, and the hard ends that ``meta["supports"]`` names.

    An end beyond which there are samples (after reweighting by hand, say) counts as none.
    """
    low, high = (float(end) for end in weighted_quantile(posterior.column(name), _FINE, posterior.weights))
    margin = 0.08 * (high - low)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        margin = 0.5 * abs(low) or 0.5
    ends = (posterior.meta.get("supports") or {}).get(name, (None, None))
    hard_low, hard_high = (default if end is None else float(end) for end, default in zip(ends, (-np.inf, np.inf), strict=True))
    values = posterior.column(name)[posterior.weights > 0.0]
    return Axis(
        low - margin,
        high + margin,
        hard_low if hard_low <= np.min(values) else -np.inf,
        hard_high if hard_high >= np.max(values) else np.inf,
    )


def value_and_error(mean: float, std: float) -> str:
    r"""LaTeX of mean and error, with two digits of the error.

    Examples
    --------
    >>> value_and_error(0.022367, 0.000148)
    '0.02237 \\pm 0.00015'
    """
    if not np.isfinite(std) or std <= 1e-12 * abs(mean):
        return f"{mean:.4g}"
    decimals = 1 - int(np.floor(np.log10(std)))
    if not -4 <= decimals <= 8:
        power = int(np.floor(np.log10(max(abs(mean), std))))
        return rf"({value_and_error(mean / 10.0**power, std / 10.0**power)}) \times 10^{{{power}}}"
    return rf"{mean:.{max(decimals, 0)}f} \pm {std:.{max(decimals, 0)}f}"


def _inside(axis: Axis, centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """One where a bin lies inside the hard ends."""
    return ((centres >= axis.hard_low) & (centres <= axis.hard_high)).astype(np.float64)


def _convolved(image: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolution with a kernel of odd lengths, of the image's shape, zeros outside."""
    axes = tuple(range(image.ndim))
    shape = [n + k - 1 for n, k in zip(image.shape, kernel.shape, strict=True)]
    full = np.fft.irfftn(np.fft.rfftn(image, shape, axes) * np.fft.rfftn(kernel, shape, axes), shape, axes)
    return np.asarray(full[tuple(slice(k // 2, k // 2 + n) for n, k in zip(image.shape, kernel.shape, strict=True))])


def _smoothed(inside: NDArray[np.float64], counts: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts convolved with the kernel, over the kernel's mass inside hard ends, zero outside them."""
    smooth = inside * np.maximum(_convolved(counts, kernel), 0.0)
    if inside.all():
        return np.asarray(smooth)
    pad = [(k // 2, k // 2) for k in kernel.shape]
    reach = _convolved(np.pad(inside, pad, mode="edge"), kernel)
    return np.asarray(
        smooth / np.maximum(reach[tuple(slice(before, n - after) for n, (before, after) in zip(reach.shape, pad, strict=True))], 1e-3)
    )


def _edges(axis: Axis, bins: int) -> NDArray[np.float64]:
    return np.linspace(axis.low, axis.high, bins + 1)


def density_1d(
    values: NDArray[np.float64], weights: NDArray[np.float64], axis: Axis, effective: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smooth density of one quantity, largest value 1: bin centres and heights.

    Notes
    -----
    A histogram convolved with a normal kernel of ``_BANDWIDTH`` times Scott's width, divided by the kernel's mass inside hard ends.
    """
    edges = _edges(axis, _BINS_1D)
    centres = 0.5 * (edges[1:] + edges[:-1])
    counts = np.histogram(values, bins=edges, weights=weights)[0]
    spread = float(np.sqrt(weights @ (values - weights @ values) ** 2))
    width = max(_BANDWIDTH * spread * max(effective, 1.0) ** (-1.0 / 5.0) / (edges[1] - edges[0]), 0.7)
    half = min(int(np.ceil(4.0 * width)), _BINS_1D // 2 - 1)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / width) ** 2)
    smooth = _smoothed(_inside(axis, centres), counts, kernel / kernel.sum())
    return centres, smooth / max(float(smooth.max()), np.finfo(np.float64).tiny)


def _kernel(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normal kernel on the grid for a covariance (2, 2) in bins."""
    half = np.clip(np.ceil(4.0 * np.sqrt(np.diag(covariance))).astype(int), 1, _BINS_2D // 2)
    x, y = np.meshgrid(np.arange(-half[0], half[0] + 1), np.arange(-half[1], half[1] + 1), indexing="ij")
    points = np.stack([x.ravel(), y.ravel()])
    kernel = np.exp(-0.5 * np.sum(points * np.linalg.solve(covariance, points), axis=0)).reshape(x.shape)
    return np.asarray(kernel / kernel.sum())


def density_2d(
    values: NDArray[np.float64], weights: NDArray[np.float64], axes: tuple[Axis, Axis], effective: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Smooth density of a pair (n, 2): centres along each axis and the mass per bin, indices (first, second).

    Notes
    -----
    As `density_1d`, with a kernel that has the covariance of the points, so that narrow degeneracies stay narrow.
    """
    edges = [_edges(axis, _BINS_2D) for axis in axes]
    centres = [0.5 * (edge[1:] + edge[:-1]) for edge in edges]
    counts = np.histogram2d(values[:, 0], values[:, 1], bins=edges, weights=weights)[0]
    scaled = (values - weights @ values) / [edge[1] - edge[0] for edge in edges]
    covariance = (scaled * weights[:, None]).T @ scaled * (_BANDWIDTH * max(effective, 1.0) ** (-1.0 / 6.0)) ** 2 + 0.5 * np.eye(2)
    kernel = _kernel(covariance)
    inside = np.outer(_inside(axes[0], centres[0]), _inside(axes[1], centres[1]))
    smooth = _smoothed(inside, counts, kernel)
    return centres[0], centres[1], smooth


def mass_levels(density: NDArray[np.float64], masses: Sequence[float]) -> list[float]:
    """Heights above which the densest bins hold each of ``masses``, lowest height first; fewer where two coincide."""
    ordered = np.sort(density, axis=None)[::-1]
    total = np.cumsum(ordered)
    if total[-1] <= 0.0:
        return []
    heights = {float(ordered[min(int(np.searchsorted(total, mass * total[-1])), len(ordered) - 1)]) for mass in masses}
    return sorted(height for height in heights if 0.0 < height < ordered[0])
