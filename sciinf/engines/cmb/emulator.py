"""Emulator of CAMB's spectra: a file of coefficients, and the theory that evaluates it."""

from __future__ import annotations

import functools
import io
import json
import logging
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sciinf.core.atomic import write_bytes
from sciinf.core.errors import ConfigError, DataError
from sciinf.core.fingerprint import sha256_of
from sciinf.engines.cmb import compress_kernels
from sciinf.engines.cmb import emulator_kernels as kernels
from sciinf.engines.cmb.background import Background
from sciinf.engines.cmb.component import Component
from sciinf.engines.cmb.compress import CompiledForm, build
from sciinf.engines.cmb.spectra import Spectra, SpectraBatch
from sciinf.engines.cmb.theory import PARAMETERS, Scale, as_thetas, parameters_of, theta_mc_form

__all__ = ["FORMAT_VERSION", "EmulatorTheory", "EmulatorWeights", "read_weights", "shipped_weights", "write_weights"]

logger = logging.getLogger(__name__)

FORMAT = "sciinf-cmb-emulator"
FORMAT_VERSION = 1
DERIVED = ("sigma8", "age")
"""What the ``derived`` coefficients give: ln sigma8 - logA / 2, and the age in Gyr."""

_PARTS = ("mean", "basis", "coefficients")
_ARRAYS = ("powers", "derived", *(f"{part}_{block}" for block in kernels.BLOCK_ORDER for part in _PARTS))
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class EmulatorWeights:
    """Contents of a weights file.

    Parameters
    ----------
    header : dict
        JSON-able: ``domain`` (parameter to [low, high]), ``coordinates`` (parameter to "linear" or "log"), ``first_l`` (block to l),
        ``settings`` of CAMB, versions, seeds, the training ellipsoid, and the errors reached.
    arrays : dict of str to array
        ``powers`` (n_monomials, 6) int8; ``derived`` (n_monomials, 2) float64; and for each block of
        `emulator_kernels.BLOCK_ORDER` float32 ``mean_X`` (n_l,), ``basis_X`` (n_basis, n_l), ``coefficients_X`` (n, n_basis), where n
        monomials, the first ones, are used.

    Raises
    ------
    DataError
        If an array or a header key is missing or has a shape that does not fit.
    """

    header: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    def __post_init__(self) -> None:
        if missing := [name for name in _ARRAYS if name not in self.arrays]:
            raise DataError(f"emulator weights: arrays missing: {', '.join(missing)}")
        if missing := [name for name in ("domain", "coordinates", "first_l", "settings") if name not in self.header]:
            raise DataError(f"emulator weights: header keys missing: {', '.join(missing)}")
        powers = self.arrays["powers"]
        if powers.ndim != 2 or powers.shape[1] != len(PARAMETERS) or self.arrays["derived"].shape != (len(powers), len(DERIVED)):
            raise DataError(f"emulator weights: powers {powers.shape} and derived {self.arrays['derived'].shape} do not fit")
        for block in kernels.BLOCK_ORDER:
            mean, basis, coefficients = (self.arrays[f"{part}_{block}"] for part in _PARTS)
            if basis.shape != (coefficients.shape[1], len(mean)) or not 1 <= len(coefficients) <= len(powers):
                raise DataError(
                    f"emulator weights: block {block} has mean {mean.shape}, basis {basis.shape}, coefficients {coefficients.shape}"
                )

    @functools.cached_property
    def sha256(self) -> str:
        """sha256 over the header and every array."""
        return sha256_of(FORMAT, _header_text(self.header), {name: self.arrays[name] for name in _ARRAYS})

    @functools.cached_property
    def parents(self) -> NDArray[np.int64]:
        """(2, n_monomials): an earlier monomial, and the coordinate that multiplies it; 0, 0 for the constant.

        Raises
        ------
        DataError
            If a monomial has no earlier one that it is built from.
        """
        powers = [tuple(int(p) for p in row) for row in self.arrays["powers"]]
        if any(powers[0]):
            raise DataError("emulator weights: the first monomial must be the constant")
        found = np.zeros((2, len(powers)), dtype=np.int64)
        for t, row in enumerate(powers[1:], start=1):
            options = [
                (powers.index(smaller, 0, t), i)
                for i in range(len(row))
                if row[i] > 0 and (smaller := tuple(p - (j == i) for j, p in enumerate(row))) in powers[:t]
            ]
            if not options:
                raise DataError(f"emulator weights: monomial {t} (powers {row}) has no earlier one that it is built from")
            found[:, t] = options[0]
        return found

    def curves(self, block: str) -> NDArray[np.float64]:
        """Spectrum block as a linear map of its monomials: (n_monomials of the block, n_l), the mean in the constant's row."""
        mean, basis, coefficients = (self.arrays[f"{part}_{block}"].astype(np.float64) for part in _PARTS)
        rows = coefficients @ basis
        rows[0] += mean
        return rows


def _header_text(header: dict[str, Any]) -> str:
    return json.dumps(header, sort_keys=True, indent=1)


def write_weights(path: Path, weights: EmulatorWeights) -> None:
    """Write ``weights`` as an npz file, atomically; the same weights give the same bytes."""
    members: dict[str, NDArray[Any]] = {
        "header": np.frombuffer(_header_text(weights.header).encode(), dtype=np.uint8),
        "sha256": np.frombuffer(weights.sha256.encode(), dtype=np.uint8),
        "format_version": np.array(FORMAT_VERSION, dtype=np.int64),
        **{name: weights.arrays[name] for name in _ARRAYS},
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, values in members.items():
            stream = io.BytesIO()
            np.lib.format.write_array(stream, values, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), stream.getvalue())
    write_bytes(path, content.getvalue())


def read_weights(path: Path) -> EmulatorWeights:
    """Read and verify a weights file.

    Raises
    ------
    DataError
        If the file cannot be read, is of another version, or its contents do not match its sha256.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            members = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"emulator weights {path.name}: not a readable weights file ({error})") from error
    if missing := [name for name in ("header", "sha256", "format_version", *_ARRAYS) if name not in members]:
        raise DataError(f"emulator weights {path.name}: not a weights file of this package; missing: {', '.join(missing)}")
    expected = members.pop("sha256").tobytes().decode("ascii", "replace")
    version = int(members.pop("format_version"))
    if version != FORMAT_VERSION:
        raise DataError(
            f"emulator weights {path.name}: format version {version}, this package reads version {FORMAT_VERSION} "
            f"(sha256 in the file {expected}). Train again with `python -m sciinf.engines.cmb.training`"
        )
    try:
        header = json.loads(members.pop("header").tobytes().decode())
    except ValueError as error:
        raise DataError(f"emulator weights {path.name}: the header is damaged ({error}); sha256 in the file {expected}") from error
    weights = EmulatorWeights(header, members)
    if weights.sha256 != expected:
        raise DataError(
            f"emulator weights {path.name}: altered; expected sha256 {expected}, found {weights.sha256}. Install the package again"
        )
    return weights


@functools.cache
def _say_once(text: str) -> None:
    logger.info(text)


@functools.cache
def shipped_weights() -> EmulatorWeights:
    """The weights that come with the package: flat LambdaCDM, box `lcdm`."""
    return read_weights(Path(__file__).parent / "weights" / "lcdm.npz")


@dataclass(frozen=True, eq=False)
class EmulatorTheory:
    """Spectra of flat LambdaCDM from polynomials fitted to CAMB: microseconds a call, inside a box.

    Parameters
    ----------
    sample : {"theta_mc", "H0"}
        Which scale parameter ``theta`` holds.
    weights : EmulatorWeights, optional
        From `read_weights`; the shipped ones by default.

    Raises
    ------
    ConfigError
        If ``sample`` is neither of the two, or ``weights`` is not what `read_weights` returns.

    Notes
    -----
    S_l = D_l e^{2 tau} / (1e-10 e^{logA}) of TT, TE and EE from l = 30, and PP_L / (1e-10 e^{logA}), are mean + sum_k c_k(u) basis_kl,
    with c_k polynomials of the scaled coordinates u; EE at l = 2-29 is the exponential of such a sum, since the reionisation bump does
    not scale as e^{-2 tau}. TT, TE and EE reach to l = 2508, PP to 2500: no component has weight beyond. BB is not emulated: zero, at
    l <= 29 only. H0 is exact (`Background`), Omega_m follows from it; sigma8 and age are polynomials.

    Examples
    --------
    >>> theory = EmulatorTheory()
    >>> theory.spectra(np.array([0.02237, 0.12, 1.0409, 0.0544, 3.045, 0.965])).l_max["TT"]
    2508
    """

    sample: Scale = "theta_mc"
    weights: EmulatorWeights = field(default_factory=shipped_weights)
    background: Background = field(init=False, repr=False)
    floats: NDArray[np.float64] = field(init=False, repr=False)
    ints: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        parameters_of(self.sample)
        if not isinstance(self.weights, EmulatorWeights):
            raise ConfigError(f"EmulatorTheory: weights must be what read_weights(path) returns, got {type(self.weights).__name__}")
        _say_once("the emulator gives no BB: it is zero, at l <= 29 only")
        settings = self.weights.header["settings"]
        object.__setattr__(self, "background", Background(m_nu=settings["m_nu"], n_eff=settings["n_eff"]))
        floats, ints = self.pack()
        object.__setattr__(self, "floats", floats)
        object.__setattr__(self, "ints", ints)

    def pack(self, blocks: Sequence[str] = kernels.BLOCK_ORDER) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The weights as `emulator_kernels` takes them; a block that is not among ``blocks`` is left empty."""
        header, parents = self.weights.header, self.weights.parents
        low, high = np.array([header["domain"][name] for name in PARAMETERS], dtype=np.float64).T
        logs = np.array([header["coordinates"][name] == "log" for name in PARAMETERS])
        scaled_low, scaled_high = (np.where(logs, np.log(edge), edge) for edge in (low, high))
        parts = [low, high, 0.5 * (scaled_low + scaled_high), 2.0 / (scaled_high - scaled_low), self.background.table]
        ints = [parents.shape[1], int(self.sample == "H0"), 0, 4 * len(PARAMETERS), *logs]
        at = 4 * len(PARAMETERS) + len(self.background.table)
        for block in kernels.BLOCK_ORDER:
            if block not in blocks:
                ints += [0] * kernels.BLOCK_SIZE
                continue
            mean, basis, coefficients = (self.weights.arrays[f"{part}_{block}"].astype(np.float64) for part in _PARTS)
            ints += [len(coefficients), len(basis), header["first_l"][block], len(mean), at]
            parts += [mean, basis.ravel(), coefficients.ravel()]
            at += mean.size + basis.size + coefficients.size
        return np.concatenate(parts), np.array([*ints, *parents.ravel()], dtype=np.int64)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the six parameters, in the order of ``theta``."""
        return parameters_of(self.sample)

    @property
    def l_max(self) -> dict[str, int]:
        """Largest l of each spectrum: 2508, PP 2500, BB 29."""
        first, arrays = self.weights.header["first_l"], self.weights.arrays
        reach = {name: first[name] + len(arrays[f"mean_{name}"]) - 1 for name in ("TT", "TE", "EE", "PP")}
        return {"TT": reach["TT"], "TE": reach["TE"], "EE": reach["EE"], "BB": kernels.N_LOW_EE + 1, "PP": reach["PP"]}

    @property
    def workspace_size(self) -> int:
        """Length of the ``work`` array of `emulator_kernels.spectra`."""
        blocks = [self.weights.arrays[f"basis_{block}"].shape for block in kernels.BLOCK_ORDER]
        return len(PARAMETERS) + int(self.ints[kernels.MONOMIALS]) + int(max(n for n, _ in blocks) + max(n_l for _, n_l in blocks))

    def domain(self) -> dict[str, tuple[float, float]]:
        """The box by sampled name; where H0 is sampled the box of theta_mc cannot be written in it and is left out."""
        box = {name: (float(low), float(high)) for name, (low, high) in self.weights.header["domain"].items()}
        return {name: box[name] for name in self.parameters if name in box}

    def spectra(self, theta: NDArray[np.float64]) -> Spectra:
        """Spectra at ``theta`` (6,); NaN from l = 2 outside the box."""
        return self.spectra_many(np.atleast_2d(np.asarray(theta, dtype=np.float64))).row(0)

    def spectra_many(self, thetas: NDArray[np.float64]) -> SpectraBatch:
        """Spectra of each row of ``thetas`` (n, 6); a row's bytes do not depend on the others."""
        points = as_thetas(thetas, self.parameters)
        reach = self.l_max
        out = {name: np.empty((len(points), reach[name] + 1)) for name in ("TT", "TE", "EE", "PP")}
        kernels.spectra_many(points, self.floats, self.ints, np.empty(self.workspace_size), *out.values())
        return SpectraBatch(**{name.lower(): values for name, values in out.items()}, bb=np.zeros((len(points), reach["BB"] + 1)))

    def form(
        self, components: Sequence[Component], nuisance: Sequence[str], evaluation: Literal["auto", "full", "compressed"] = "auto"
    ) -> CompiledForm | None:
        """These components compiled over this theory, or None; see `compress.build`."""
        return build(self, components, nuisance, evaluation)

    @property
    def derived_names(self) -> tuple[str, ...]:
        """The other scale parameter, sigma8, Omega_m, age (Gyr)."""
        return ("H0" if self.sample == "theta_mc" else "theta_mc", "sigma8", "Omega_m", "age")

    def derived_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derived parameters (n, 4) of each row of ``thetas`` (n, 6); NaN where the scale parameter belongs to no such universe."""
        points = as_thetas(thetas, self.parameters)
        standard = theta_mc_form(points, self.sample, self.background)
        if self.sample == "theta_mc":
            h0 = other = self.background.hubble(points[:, 0], points[:, 1], points[:, 2])
        else:
            h0, other = points[:, 2], standard[:, 2]
        omega_m = (points[:, 0] + points[:, 1] + self.background.omega_nu) / (0.01 * h0) ** 2
        log_ratio, age = self._polynomials(standard, self.weights.arrays["derived"])
        return np.column_stack([other, np.exp(log_ratio + 0.5 * points[:, 4]), omega_m, age])

    def _polynomials(self, points: NDArray[np.float64], table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Polynomials with coefficients ``table`` (n_monomials, k) at ``points`` (n, 6), as (k, n); elementwise, so row by row the same."""
        box = self.floats[: 4 * len(PARAMETERS)].reshape(4, -1)
        logs = self.ints[kernels.LOG_FLAGS : kernels.LOG_FLAGS + len(PARAMETERS)] == 1
        with np.errstate(invalid="ignore", divide="ignore"):
            u = ((np.where(logs, np.log(points), points) - box[2]) * box[3]).T
        total = np.repeat(table[0][:, None], len(points), axis=1)
        monomials = [np.ones(len(points))]
        for t in range(1, len(table)):
            parent, variable = self.weights.parents[:, t]
            monomials.append(monomials[parent] * u[variable])
            total += table[t][:, None] * monomials[t]
        return total

    def explain(self, theta: NDArray[np.float64]) -> list[str]:
        """Why ``theta`` (6,) has no spectra: each parameter outside its range, theta_mc also where H0 is sampled."""
        point = as_thetas(np.atleast_2d(theta), self.parameters)
        values = theta_mc_form(point, self.sample, self.background)[0]
        lines = []
        for name, value in zip(PARAMETERS, values.tolist(), strict=True):
            low, high = self.weights.header["domain"][name]
            if not low <= value <= high:
                what = (
                    "no such universe" if math.isnan(value) else f"{name} = {value:.6g} is outside the emulator's range [{low:g}, {high:g}]"
                )
                lines.append(f"theory: {what}")
        return lines

    def fingerprint(self) -> str:
        """sha256 over the weights, the kernel's version and the scale parameter."""
        return sha256_of("emulator", kernels.KERNEL_VERSION, compress_kernels.KERNEL_VERSION, self.weights.sha256, self.sample)

    def __getstate__(self) -> dict[str, Any]:
        return {"sample": self.sample, "weights": (self.weights.header, self.weights.arrays)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        object.__setattr__(self, "sample", state["sample"])
        object.__setattr__(self, "weights", EmulatorWeights(*state["weights"]))
        self.__post_init__()
