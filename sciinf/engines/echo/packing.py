"""Data and constants of a search as its compiled kernel reads them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sciinf.core.engine import CompiledLikelihood
from sciinf.core.errors import DataError
from sciinf.core.priors import LogUniform, Uniform
from sciinf.engines.echo import kernels
from sciinf.engines.echo.template import CombTemplate

if TYPE_CHECKING:
    from sciinf.engines.echo.model import EchoSearch

__all__ = ["pack"]

_PHASES = {"whittle": kernels.WHITTLE, "bin": kernels.BIN, "mode": kernels.MODE}
_AMPLITUDES = {type(None): kernels.SAMPLED, Uniform: kernels.UNIFORM, LogUniform: kernels.LOG_UNIFORM}
_PLACES = {"spacing": kernels.AT_SPACING, "offset": kernels.AT_OFFSET, "width": kernels.AT_WIDTH, "amplitude": kernels.AT_AMPLITUDE,
           "f_min": kernels.AT_F_MIN, "f_max": kernels.AT_F_MAX}  # fmt: skip
_LARGEST = 1e140  # of 4 df d/S and 4 df/S: the kernel squares their sums


def pack(engine: EchoSearch) -> CompiledLikelihood:
    """Kernel, packed data and workspace; what is masked enters as zero.

    Raises
    ------
    DataError
        If 4 df abs(d)/S or 4 df/S of a bin is above 1e140.
    """
    assert isinstance(engine.template, CombTemplate)
    first, last = engine.bins
    df, frequency = 1.0 / engine.duration, np.arange(first, last + 1) / engine.duration
    parts, norm = [], np.zeros(last - first + 1)
    for spectrum in engine.spectra:
        used = spectrum.used[first : last + 1]
        weight = np.zeros(len(used))
        with np.errstate(over="ignore", invalid="ignore"):  # looked for below
            np.divide(4.0 * df * spectrum.response, spectrum.psd[first : last + 1], out=weight, where=used)
            values = np.where(used, spectrum.values[first : last + 1], 0.0) * weight
        for what, measure in (("4 df |d| / S", np.maximum(np.abs(values.real), np.abs(values.imag))), ("4 df / S", weight)):
            wrong = np.flatnonzero(~(measure <= _LARGEST))
            if len(wrong):
                j = first + int(wrong[0])
                raise DataError(
                    f"{spectrum.detector}: {what} must be at most {_LARGEST:g}, bin {j} ({j * df:g} Hz) has |d| = "
                    f"{abs(spectrum.values[j]):g} and S = {spectrum.psd[j]:g} ({len(wrong)} such bins): give d (strain s) and S (1/Hz) "
                    "in one unit of strain, or mask the bin"
                )
        if spectrum.delay != 0.0:
            values = values * np.exp(-2j * np.pi * spectrum.delay * frequency)
        parts += [values.real, values.imag]
        norm += weight * spectrum.response
    prior, band = engine.amplitude_prior, (0.0, 0.0) if isinstance(engine.band, str) else engine.band
    head = np.array([
        *(engine.duration, engine.template.reach, 2.0 * math.pi * engine.template.minimum_bins / engine.duration),
        *band, *((0.0, 0.0) if prior is None else (prior.low, prior.high)),
    ])  # fmt: skip
    ints = np.full(kernels.N_INTS, -1, dtype=np.int64)
    ints[kernels.PHASE], ints[kernels.OFFSET_IN_HZ] = _PHASES[engine.phase], int(engine.offset_unit == "Hz")
    ints[kernels.AMPLITUDE] = _AMPLITUDES[type(prior)]
    ints[kernels.N_DETECTORS], ints[kernels.FIRST_BIN], ints[kernels.N_BINS] = len(engine.spectra), first, len(norm)
    for name, place in _PLACES.items():
        ints[place] = engine.parameters.index(name) if name in engine.parameters else -1
    ints[kernels.AT_PHASES] = len(engine.parameters) - len(engine.spectra) + 1
    size = kernels.workspace_size(len(engine.spectra), len(norm))
    return CompiledLikelihood(kernels.echo, np.concatenate([head, *parts, norm]), ints, size)
