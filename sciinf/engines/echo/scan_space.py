"""The space of a scan: the engine with its amplitude as a parameter, and the prior's box."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sciinf.core.problem import Problem

if TYPE_CHECKING:
    from sciinf.core.prior_set import PriorSet
    from sciinf.engines.echo.model import EchoSearch

__all__ = ["SearchSpace"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """The engine with the amplitude as a parameter, the prior's box, and the maps between points and local coordinates."""

    engine: EchoSearch
    original: EchoSearch
    priors: PriorSet
    box: dict[str, tuple[float, float]]

    @classmethod
    def of(cls, engine: EchoSearch, priors: PriorSet | None) -> SearchSpace:
        """That of an engine; its default priors where none are given."""
        if priors is None:
            priors = engine.default_priors()
        Problem(engine, priors)  # names and ranges fit, or an error that says which do not
        with warnings.catch_warnings():  # the engine has said already what is to be said of its data
            warnings.simplefilter("ignore")
            sampled = replace(engine, amplitude="sampled")
        box = {**{name: (value, value) for name, value in priors.fixed.items()}, **priors.supports}
        if engine.amplitude_prior is not None:
            box["amplitude"] = (0.0, math.inf)
        return cls(sampled, engine, priors, box)

    @property
    def names(self) -> tuple[str, ...]:
        """All parameters, the amplitude too."""
        return self.engine.parameters

    @property
    def phases(self) -> tuple[str, ...]:
        """The phase shifts among them."""
        return self.names[len(self.names) - len(self.engine.spectra) + 1 :]

    @property
    def is_free(self) -> bool:
        """Whether the band is sampled."""
        return self.engine.band == "sampled"

    def profiles(self, thetas: FloatArray) -> FloatArray:
        """Amplitude and ln L of each row, (n, 2)."""
        from sciinf.engines.echo.scan_kernels import profiles_many

        packed = self.engine.compiled()
        rows = np.ascontiguousarray(thetas)
        return np.asarray(profiles_many(rows, packed.floats, packed.ints, np.empty(packed.workspace_size), *self.box["amplitude"]))

    def sampled_columns(self, thetas: FloatArray) -> FloatArray:
        """Columns of the priors' parameters."""
        return np.ascontiguousarray(thetas[:, [self.names.index(name) for name in self.priors.names]])

    def log_prior(self, thetas: FloatArray) -> FloatArray:
        """Prior density (ln) of each row (n, all parameters); a marginalised amplitude has none."""
        return np.asarray(self.priors.log_prior(self.sampled_columns(thetas)))

    def original_columns(self, thetas: FloatArray) -> FloatArray:
        """Columns of the original engine's parameters."""
        return np.ascontiguousarray(thetas[:, [self.names.index(name) for name in self.original.parameters]])

    def offset_step(self, width: float) -> float:
        """Step of the offset by the rule, in Hz: beyond it a tooth moves out of a line of this width, or of the resolution."""
        step = max(width, 2.0 * math.pi / self.engine.duration) / (4.0 * math.pi)
        return 0.5 * step if self.engine.phase == "whittle" else step

    def first_offset(self, spacing: FloatArray) -> FloatArray:
        """Least offset that the prior allows, in Hz."""
        low = self.box["offset"][0]
        return np.full_like(spacing, low) if self.engine.offset_unit == "Hz" else low * spacing

    def offset_room(self, spacing: FloatArray) -> FloatArray:
        """Range of offsets in Hz, one spacing at most."""
        low, high = self.box["offset"]
        room = np.full_like(spacing, high - low) if self.engine.offset_unit == "Hz" else (high - low) * spacing
        return np.minimum(room, spacing)

    def with_offset(self, f0: FloatArray, spacing: FloatArray) -> FloatArray:
        """The offset parameter of the comb with a tooth at ``f0`` Hz."""
        low = self.first_offset(spacing)
        turned = low + (f0 - low) % spacing
        return turned if self.engine.offset_unit == "Hz" else turned / spacing

    def middle(self, theta: FloatArray) -> int:
        """Number of the tooth nearest to the middle of the band."""
        values: dict[str, float] = dict(zip(self.names, theta.tolist(), strict=True))
        low, high = self.engine.band_of(values)
        return round((0.5 * (low + high) - self.engine.offset_hz(values)) / values["spacing"])
