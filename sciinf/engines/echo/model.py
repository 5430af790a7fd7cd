"""The engine: a comb of quasinormal modes in one detector's data or a network's, its phases marginalised."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciinf.core.engine import Background, CompiledLikelihood
from sciinf.core.errors import ConfigError, DataTypeError, LikelihoodError, PriorError
from sciinf.core.fingerprint import sha256_of
from sciinf.core.prior_set import PriorSet
from sciinf.core.priors import LogUniform, Uniform
from sciinf.engines.echo import kernels
from sciinf.engines.echo.data import Psd, Spectrum
from sciinf.engines.echo.network import check_spectra
from sciinf.engines.echo.options import Band, OffsetUnit, Phase, as_spectra, check_options, checked_band
from sciinf.engines.echo.packing import pack
from sciinf.engines.echo.priors import Remnant, amplitude_prior, fixed_band_priors, search_priors
from sciinf.engines.echo.strain import Strain
from sciinf.engines.echo.template import CombTemplate, band_slice

if TYPE_CHECKING:
    from sciinf.core.problem import Problem
    from sciinf.engines.echo.diagnostics import ModeTable
    from sciinf.engines.echo.recipe import OffSource
    from sciinf.engines.echo.scan import ScanResult
    from sciinf.results.posterior import Posterior

__all__ = ["EchoSearch", "Phase"]


@dataclass(frozen=True, eq=False)
class EchoSearch:
    """ln L of a comb of damped modes over noise only, with one phase marginalised per mode, per bin, or none at all.

    Parameters
    ----------
    strain : Strain, Spectrum or tuple of Spectrum
        A `Strain` is Fourier transformed as it is (simulated stationary noise; real strain goes through `condition` first); a `Spectrum`
        holds its PSD; a tuple is a network, its first member the reference for amplitude, phase and arrival time.
    psd : Psd, optional
        For a `Strain` only.
    template : "comb" or CombTemplate
        The line shape and where lines end.
    phase : {"mode", "bin", "whittle"}
        One phase per mode, one per bin, or the template's own phases. "mode" needs resolved modes: T of the order of 1/width or longer.
    amplitude : {"sampled", "marginalised"} or Uniform or LogUniform
        A parameter, or integrated exactly over its prior: U(m/100, 10 m) for "marginalised", with m the data's mean abs(d_j) over the band.
    band : "sampled" or (f_min, f_max)
        Two parameters, or fixed, in Hz.
    offset_unit : {"spacing", "Hz"}
        Unit of ``offset``: of the spacing (q0), or Hz (f0).
    remnant : Remnant, optional
        Sets scales and priors of a sampled band, and restricts the data read to its band.
    amplitude_scale : float, optional
        m, in s. None: from these data. It stays as it is in `with_data`, so that a prior does not follow the data.
    off_source : OffSource, optional
        What time slides are made of, for `background`; workers do not get it.

    Raises
    ------
    ConfigError
        If an option is not known (the nearest is named), the band is not inside (0, Nyquist), detectors share a name, or a sampled band is
        to be marginalised over the amplitude without a remnant.
    PriorError
        If the remnant's search band holds no frequency of the data.
    DataError
        If data cannot be used; see `check_spectra`. Also where abs(d)/S is beyond all measure, as with d and S in different units.

    Notes
    -----
    With h_j = A u_j (`CombTemplate`), <.> sums over bins of weight 4 df / S_j: "whittle" has sum Re(conj(h_j) d_j) - abs(h_j)^2 / 2,
    "bin" sum_j ln I0(abs(d_j h_j)) - abs(h_j)^2 / 2, and "mode" sum_n ln I0(abs(sum_{j in n} conj(h_j) d_j)) - sum_j abs(h_j)^2 / 2, a
    flat prior of each phase integrated out (arXiv:2308.01017, arXiv:2512.24730). In a network d/S and 1/S become sums over detectors
    with their responses, delays and phase shifts. f_min and f_max enter by the bins they admit: ln L is piecewise constant in them.

    Examples
    --------
    >>> noise = np.random.default_rng(1).standard_normal(4 * 1024)
    >>> engine = EchoSearch(Strain(noise, 1 / 1024, 0.0, "H1"), Psd.white(2 / 1024), band=(50.0, 200.0), amplitude="marginalised")
    >>> engine.parameters
    ('spacing', 'offset', 'width')
    >>> bool(engine.log_likelihood(np.array([5.0, 0.3, 1.0])) < 0.0)
    True
    """

    strain: Strain | Spectrum | tuple[Spectrum, ...]
    psd: Psd | None = None
    template: CombTemplate | Literal["comb"] = "comb"
    phase: Phase = "mode"
    amplitude: Literal["sampled", "marginalised"] | Uniform | LogUniform = "sampled"
    band: Band = "sampled"
    offset_unit: OffsetUnit = "spacing"
    remnant: Remnant | None = None
    amplitude_scale: float | None = None
    off_source: OffSource | None = field(default=None, repr=False)
    spectra: tuple[Spectrum, ...] = field(init=False, repr=False)
    parameters: tuple[str, ...] = field(init=False)
    psd_levels: tuple[float, ...] = field(init=False, repr=False)
    amplitude_prior: Uniform | LogUniform | None = field(init=False, repr=False)
    _compiled: CompiledLikelihood = field(init=False, repr=False)

    derived_names: ClassVar[tuple[str, ...]] = ("snr", "quality", "amplitude_times_width", "n_teeth", "n_bins")
    can_simulate: ClassVar[bool] = True
    breakdown_unit: ClassVar[str] = "ln L"

    def __post_init__(self) -> None:
        check_options(self)
        if isinstance(self.template, str):
            object.__setattr__(self, "template", CombTemplate())
        spectra = as_spectra(self.strain, self.psd)
        object.__setattr__(self, "strain", spectra if len(spectra) > 1 else spectra[0])
        object.__setattr__(self, "psd", None)
        object.__setattr__(self, "spectra", spectra)
        object.__setattr__(self, "band", checked_band(self))
        object.__setattr__(self, "psd_levels", check_spectra(spectra, *self.bins))
        if self.amplitude_scale is None:
            object.__setattr__(self, "amplitude_scale", self._scale())
        self._freeze_amplitude()
        comb = ["spacing", "offset", "width"] + (["amplitude"] if self.amplitude_prior is None else [])
        band = ["f_min", "f_max"] if self.band == "sampled" else []
        object.__setattr__(self, "parameters", (*comb, *band, *(f"phase_shift_{spectrum.detector}" for spectrum in spectra[1:])))
        object.__setattr__(self, "_compiled", pack(self))

    def _scale(self) -> float:
        """Mean abs(d_j) over the used bins of the band, averaged over detectors."""
        first, last = self.bins
        means = []
        for spectrum in self.spectra:
            used = spectrum.used[first : last + 1]
            if np.any(used):
                means.append(float(np.mean(np.abs(spectrum.values[first : last + 1][used]))))
        return sum(means) / len(means)

    def _freeze_amplitude(self) -> None:
        """The prior that the amplitude is marginalised over, or None where it is sampled."""
        prior: Uniform | LogUniform | None = None
        if isinstance(self.amplitude, (Uniform, LogUniform)):
            prior = self.amplitude
        elif self.amplitude == "marginalised":
            assert self.amplitude_scale is not None
            prior = amplitude_prior(self.amplitude_scale)
        if prior is not None and prior.low < 0.0:
            raise PriorError(f"EchoSearch: the amplitude's prior must not reach below 0, got {prior!r}: give low >= 0")
        object.__setattr__(self, "amplitude_prior", prior)

    @property
    def duration(self) -> float:
        """T in s."""
        return self.spectra[0].duration

    @property
    def detectors(self) -> tuple[str, ...]:
        """Names of the detectors, the reference first."""
        return tuple(spectrum.detector for spectrum in self.spectra)

    @property
    def is_in_hertz(self) -> bool:
        """Whether frequencies are in Hz; else in units of 1/M (a remnant without a mass)."""
        return self.remnant is None or not self.remnant.is_dimensionless

    @property
    def nyquist(self) -> float:
        """The last bin's frequency in Hz."""
        return (self.spectra[0].n_bin - 1) / self.duration

    @property
    def band_limits(self) -> tuple[float, float]:
        """The fixed band in Hz, or what a sampled one may reach: the remnant's search band, else (0, Nyquist)."""
        if not isinstance(self.band, str):
            return self.band
        low, high = (0.0, self.nyquist) if self.remnant is None else self.remnant.search_band
        return low, min(high, self.nyquist)

    @property
    def bins(self) -> tuple[int, int]:
        """First and last bin that may be read, inclusive."""
        low, high = self.band_limits
        return band_slice(low, high, self.duration, self.spectra[0].last_bin)

    def _theta(self, theta: ArrayLike, ndim: int = 1) -> NDArray[np.float64]:
        """``theta`` as (n_parameters,) float64, or (n, n_parameters) with two dimensions; an error says what was expected."""
        try:
            values = np.asarray(theta)
        except ValueError as error:
            raise DataTypeError(f"EchoSearch: theta must hold real numbers in rows of one length: {error}") from error
        if values.dtype.kind not in "fiu":
            raise DataTypeError(f"EchoSearch: theta must hold real numbers, got dtype {values.dtype}")
        n, rows = len(self.parameters), np.atleast_2d(values) if ndim == 2 else values
        if rows.ndim != ndim or rows.shape[-1] != n:
            wanted = f"({n},)" if ndim == 1 else f"(n, {n})"
            raise ConfigError(f"EchoSearch: theta must be ({', '.join(self.parameters)}) of shape {wanted}, got {values.shape}")
        return np.array(rows, dtype=np.float64, order="C")

    def log_likelihood(self, theta: NDArray[np.float64]) -> float:
        """Ln L over noise only at ``theta`` (n_parameters,); NaN where theta is not finite, -inf outside the domain."""
        packed = self._compiled
        return float(packed.function(self._theta(theta), packed.floats, packed.ints, np.empty(packed.workspace_size)))

    def log_likelihood_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ln L (n,) of each row of ``thetas`` (n, n_parameters), equal to the single value to the bit."""
        from sciinf.engines.echo.batch_kernels import echo_many

        packed = self._compiled
        rows = self._theta(thetas, 2)
        return np.asarray(echo_many(rows, packed.floats, packed.ints, np.empty(packed.workspace_size)))

    def compiled(self) -> CompiledLikelihood:
        """The kernel and its packed data."""
        return self._compiled

    def default_priors(self) -> PriorSet:
        """The published priors, normalised: `fixed_band_priors` for a fixed band, `search_priors` of the remnant for a sampled one.

        Raises
        ------
        ConfigError
            If the band is sampled and there is no remnant.
        """
        if not isinstance(self.band, str):
            return fixed_band_priors(self)
        if self.remnant is None:
            raise ConfigError(
                "EchoSearch: the priors of a sampled band need the remnant's scales: EchoSearch(..., remnant=Remnant(spin, "
                "mass_detector_frame)), or search_priors(Remnant(spin, mass_detector_frame), engine)"
            )
        return search_priors(self.remnant, self)

    def domain(self) -> dict[str, tuple[float, float]]:
        """Spacing, width > 0, amplitude >= 0, band inside `band_limits`."""
        low, high = self.band_limits
        box = {
            "spacing": (0.0, math.inf),
            "width": (0.0, math.inf),
            "amplitude": (0.0, math.inf),
            "f_min": (low, high),
            "f_max": (low, high),
        }
        return {name: box[name] for name in self.parameters if name in box}

    def edges(self) -> dict[str, tuple[float, float]]:
        """None of the box's ends is one that a posterior should keep away from: a comb may reach the end of the band."""
        return {}

    def fingerprint(self) -> str:
        """sha256 over the bins read, their weights, the template's constants, phase, amplitude prior and kernel version."""
        return sha256_of("echo", kernels.KERNEL_VERSION, self._compiled.floats, self._compiled.ints, list(self.parameters))

    def comparison_key(self) -> str:
        """Evidences are over noise only, so they may be compared wherever data, PSD and masks are the same."""
        return sha256_of("echo data", [spectrum.fingerprint() for spectrum in self.spectra])

    def provenance(self) -> Mapping[str, Any]:
        """Detectors, duration, bins, the amplitude's scale and the PSD levels q, for the manifest."""
        first, last = self.bins
        levels = ", ".join(f"{name} {level:.3f}" for name, level in zip(self.detectors, self.psd_levels, strict=True))
        scale = f"amplitude scale m = {self.amplitude_scale:.6g} s"
        return {"notes": [f"T = {self.duration:g} s, bins {first} to {last}; {scale}; PSD level q (1 for Gaussian noise): {levels}"]}

    def citations(self) -> tuple[str, ...]:
        """What to cite."""
        return ("arXiv:2308.01017", "arXiv:2512.24730")

    def with_data(self, data: Spectrum | tuple[Spectrum, ...]) -> EchoSearch:
        """The same search on other data; the amplitude's scale, and so its prior, stays as it is frozen here."""
        return replace(self, strain=data, psd=None, off_source=None)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "default_scan"} | {"off_source": None}

    def simulate(self, theta: NDArray[np.float64], rng: np.random.Generator) -> Spectrum | tuple[Spectrum, ...]:
        """Noise of the PSD in the bins that may be read, and a comb whose phases are drawn as the likelihood assumes.

        A marginalised amplitude is drawn from its prior.

        Raises
        ------
        LikelihoodError
            If theta is outside the domain; names the parameters.
        """
        from sciinf.engines.echo.simulate import comb, project

        values = self.named(theta)
        if self.amplitude_prior is not None:
            values["amplitude"] = float(self.amplitude_prior.ppf(rng.uniform()))
        assert isinstance(self.template, CombTemplate)
        one = self.spectra[0]
        signal = comb(
            one, spacing=values["spacing"], offset_hz=self.offset_hz(values), width=values["width"], amplitude=values["amplitude"],
            band=self.band_of(values), phase=self.phase, rng=None if self.phase == "whittle" else rng, template=self.template,
        )  # fmt: skip
        first, last = self.bins
        made = []
        for spectrum in self.spectra:
            here = project(signal, spectrum, values.get(f"phase_shift_{spectrum.detector}", 0.0)).values.copy()
            used = first + np.flatnonzero(spectrum.used[first : last + 1])
            sigma = np.sqrt(spectrum.psd[used] * self.duration / 4.0)
            here[used] += sigma * (rng.standard_normal(len(used)) + 1j * rng.standard_normal(len(used)))
            made.append(spectrum.with_values(here))
        return tuple(made) if len(made) > 1 else made[0]

    def named(self, theta: ArrayLike) -> dict[str, float]:
        """Parameters by name.

        Raises
        ------
        LikelihoodError
            If theta is not finite, or spacing or width <= 0, amplitude < 0, or f_max < f_min; names the parameters.
        """
        values = dict(zip(self.parameters, self._theta(theta).tolist(), strict=True))
        wrong = [name for name, value in values.items() if not math.isfinite(value)]
        wrong += [name for name in ("spacing", "width") if values[name] <= 0.0]
        if values.get("amplitude", 0.0) < 0.0:
            wrong.append("amplitude")
        if values.get("f_max", 1.0) < values.get("f_min", 0.0):
            wrong.append("f_max < f_min")
        if wrong:
            shown_theta = ", ".join(f"{name}={value:g}" for name, value in values.items())
            raise LikelihoodError(
                f"EchoSearch: no comb at {shown_theta}: {', '.join(wrong)} out of range (all finite, spacing and width > 0, "
                "amplitude >= 0, f_min <= f_max)"
            )
        return values

    def offset_hz(self, values: Mapping[str, float]) -> float:
        """f0 in Hz of named parameters."""
        return values["offset"] if self.offset_unit == "Hz" else values["offset"] * values["spacing"]

    def band_of(self, values: Mapping[str, float]) -> tuple[float, float]:
        """(f_min, f_max) in Hz of named parameters."""
        return (values["f_min"], values["f_max"]) if isinstance(self.band, str) else self.band

    def derived_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """`derived_names` at each row of ``thetas`` (n, n_parameters): (n, 5); a marginalised amplitude at its maximum."""
        from sciinf.engines.echo.profile_kernels import sums_many

        packed, rows = self._compiled, self._theta(thetas, 2)
        sums = sums_many(rows, packed.floats, packed.ints, np.empty(packed.workspace_size))
        amplitude = rows[:, self.parameters.index("amplitude")] if self.amplitude_prior is None else sums[:, 1]
        if self.amplitude_prior is not None:
            amplitude = np.clip(amplitude, self.amplitude_prior.low, self.amplitude_prior.high)
        spacing, width = rows[:, 0], rows[:, self.parameters.index("width")]
        with np.errstate(divide="ignore", invalid="ignore"):  # outside the domain
            quality = spacing / width
        return np.column_stack([amplitude * np.sqrt(sums[:, 0]), quality, amplitude * width, sums[:, 2], sums[:, 3]])

    def maximise_amplitude(self, theta: ArrayLike) -> tuple[float, float]:
        """Amplitude >= 0 of the largest ln L and that ln L; the amplitude in ``theta``, if it has one, is not read."""
        from sciinf.engines.echo.amplitude import profile

        return profile(self, theta)

    def draw_amplitude(self, posterior: Posterior, rng: np.random.Generator) -> Posterior:
        """Posterior with the amplitude restored, one draw per sample from its exact conditional density."""
        from sciinf.engines.echo.amplitude import draw_amplitude

        return draw_amplitude(self, posterior, rng)

    def modes(self, theta: ArrayLike) -> ModeTable:
        """Tooth by tooth what the data say: frequency, bins, abs(kappa_n), rho_n, best phase and share of ln L."""
        from sciinf.engines.echo.diagnostics import mode_table

        return mode_table(self, theta)

    def reconstruct(self, theta: ArrayLike) -> NDArray[np.complex128]:
        """Comb (n_bin,) in the reference detector's frame at the best phases."""
        from sciinf.engines.echo.diagnostics import reconstruct

        return reconstruct(self, theta)

    def predict(self, theta: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        """Reconstructed spectrum and whitened residual of each detector, over the bins that may be read."""
        from sciinf.engines.echo.diagnostics import predict

        return predict(self, theta)

    def breakdown(self, theta: NDArray[np.float64]) -> dict[str, float]:
        """Share of each tooth in ln L, by its number."""
        table = self.modes(theta)
        return {f"tooth {n}": share for n, share in zip(table.tooth.tolist(), table.log_likelihood.tolist(), strict=True)}

    @cached_property
    def default_scan(self) -> ScanResult:
        """`scan` with its default steps and the default priors, made once: for `check` and `figures`."""
        from sciinf.engines.echo.scan import scan

        return scan(self)

    def check(self, posterior: Posterior) -> Posterior:
        """The posterior, with status "missed_mode" where a scan finds a comb of clearly larger ln L, and what is to be said of it.

        ``meta["check"]`` holds a sentence about the scan, and for "mode" one about how well modes are resolved (`resolution`).
        """
        from sciinf.engines.echo.diagnostics import resolution
        from sciinf.engines.echo.missed import check_against_scan

        checked = check_against_scan(posterior, self)
        if self.phase != "mode":
            return checked
        found = resolution(posterior, self)
        said = {**(checked.meta.get("check") or {}), "resolution": {"text": str(found), "good": found.is_resolved}}
        return replace(checked, meta={**checked.meta, "check": said})

    def background(self, problem: Problem) -> Background | None:
        """Time slides of off-source segments and the p-value that they give, or None where there are none."""
        off = self.off_source
        return None if off is None else Background(lambda: off.problems(self, problem.priors), off.judge, off.figure)

    def figures(self, posterior: Posterior) -> dict[str, Any]:
        """Whitened spectrum with the teeth, and the modes' statistics, at the best sample; after `check` the scan's map too."""
        from sciinf.engines.echo.plots import figures

        return figures(self, posterior)
