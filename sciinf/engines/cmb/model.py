"""The hybrid likelihood: one theory, several components, their nuisance parameters united."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sciinf.core.engine import CompiledLikelihood
from sciinf.core.errors import ConfigError, DataError, nearest_names, shown
from sciinf.core.fingerprint import sha256_of
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet
from sciinf.engines.cmb.combination import check_overlaps, united_nuisances
from sciinf.engines.cmb.component import Component, check_spectra
from sciinf.engines.cmb.kernels import KERNEL_VERSION
from sciinf.engines.cmb.lcdm import theory_priors
from sciinf.engines.cmb.published import published_values
from sciinf.engines.cmb.spectra import Spectra, SpectraBatch
from sciinf.engines.cmb.theory import LATEX, Theory
from sciinf.numerics.blas import one_blas_thread

__all__ = ["Form", "Hybrid"]

_CHUNK = 8  # rows whose spectra are held at once: 160 kB per spectrum


class Form(Protocol):
    """A hybrid compiled over one theory: what ``theory.form(components, nuisance, evaluation)`` gives, or None where it cannot.

    ``theta`` is in the order of the theory's parameters, then ``nuisance``. Values are as `Hybrid` defines them: NaN for a theta that is
    not finite, -inf outside the theory's box, for A_planck <= 0 and where a component is -inf.
    """

    @property
    def evaluation(self) -> str: ...  # noqa: D102
    def log_likelihood(self, theta: NDArray[np.float64]) -> float: ...  # noqa: D102
    def log_likelihood_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]: ...  # noqa: D102
    def components_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]: ...  # noqa: D102
    def compiled(self) -> CompiledLikelihood: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Hybrid:
    """Sum of CMB likelihood components on one theory's spectra.

    Parameters
    ----------
    theory : Theory
        Gives the spectra; its parameters come first in ``parameters``.
    components : sequence of Component
        Independent data sets; their nuisance parameters follow, each once.
    evaluation : {"auto", "full", "compressed"}
        "compressed" projects every Gaussian component on the emulator's basis once, when built (same values, far fewer operations);
        "full" bins and whitens spectra in every call; "auto" compresses where the theory allows.
    outside : {"error", "reject"}
        A theory with a box: "error" declares the box, so that a wider prior is a PriorError; "reject" declares none, and points
        outside are -inf, counted.

    Raises
    ------
    ConfigError
        If two components use the same data, a component needs multipoles that the theory does not give, two default priors of one
        nuisance parameter differ, or "compressed" is asked of a theory that is not an emulator.

    Notes
    -----
    ``parameters`` holds the theory's parameters, then the nuisance parameters in component order.
    ln L is the sum over components; no covariance between them. A_planck is shared and its prior counted once. The first reason
    for -inf wins and the components after it are not evaluated; `explain` evaluates all.
    """

    theory: Theory
    components: tuple[Component, ...]
    evaluation: Literal["auto", "full", "compressed"] = "auto"
    outside: Literal["error", "reject"] = "error"
    parameters: tuple[str, ...] = field(init=False)
    _nuisance: tuple[Parameter, ...] = field(init=False, repr=False)
    _form: Form | None = field(init=False, repr=False)

    domain_hint: ClassVar[str] = ", or theory='camb'"
    can_simulate: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.evaluation not in ("auto", "full", "compressed"):
            raise ConfigError(
                f"evaluation = {shown(self.evaluation)}: {nearest_names(str(self.evaluation), ('auto', 'full', 'compressed'))}"
            )
        if self.outside not in ("error", "reject"):
            raise ConfigError(f"outside = {shown(self.outside)}: {nearest_names(str(self.outside), ('error', 'reject'))}")
        components = tuple(self.components)
        if not components:
            raise ConfigError("a Hybrid needs at least one component")
        check_overlaps(components)
        for component in components:
            check_spectra(component.name, component.requires, self.theory.l_max)
        object.__setattr__(self, "components", components)
        object.__setattr__(self, "_nuisance", united_nuisances(self.theory, components))
        object.__setattr__(self, "parameters", (*self.theory.parameters, *(member.name for member in self._nuisance)))
        object.__setattr__(self, "_form", self._build_form())

    def _build_form(self) -> Form | None:
        """The compiled form that the theory offers for these components, or None."""
        method = getattr(self.theory, "form", None)
        if callable(method):
            names = tuple(member.name for member in self._nuisance)
            with one_blas_thread():
                form: Form | None = method(self.components, names, self.evaluation)
            if form is not None:
                return form
        if self.evaluation == "compressed":
            raise ConfigError("evaluation = 'compressed' needs theory='emulator': only its spectra are linear in stored coefficients")
        return None

    @property
    def nuisance_parameters(self) -> tuple[Parameter, ...]:
        """Nuisance parameters with their default priors, in component order, each once."""
        return self._nuisance

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the components, in order."""
        return tuple(component.name for component in self.components)

    def component(self, name: str) -> Component:
        """A component by name; ConfigError names the nearest."""
        for component in self.components:
            if component.name == name:
                return component
        raise ConfigError(f"no component '{name}': {nearest_names(name, self.names)}")

    def log_likelihood(self, theta: NDArray[np.float64]) -> float:
        """Sum of the components' ln L at ``theta`` (n_parameters,); NaN where theta is not finite, -inf outside the theory's box."""
        theta = np.ascontiguousarray(theta, dtype=np.float64)
        if self._form is not None and theta.shape == (len(self.parameters),):
            return self._form.log_likelihood(theta)
        return float(self.log_likelihood_many(theta[None, :])[0])

    def log_likelihood_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """`log_likelihood` of each row of ``thetas`` (n, n_parameters), as an (n,) array."""
        thetas = self._checked(thetas)
        if self._form is not None:
            return self._form.log_likelihood_many(thetas)
        values = np.where(np.all(np.isfinite(thetas), axis=1), 0.0, np.nan)
        rows = np.flatnonzero(~np.isnan(values))
        inside = self._inside(thetas[rows])
        values[rows[~inside]] = -np.inf
        rows = rows[inside]
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            values[chunk] = self._sum(thetas[chunk])
        return values

    def _checked(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        thetas = np.ascontiguousarray(thetas, dtype=np.float64)
        if thetas.ndim != 2 or thetas.shape[1] != len(self.parameters):
            raise ConfigError(f"theta must have {len(self.parameters)} entries ({', '.join(self.parameters)}), got shape {thetas.shape}")
        return thetas

    def _inside(self, thetas: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each row lies in the theory's box."""
        inside = np.ones(len(thetas), dtype=bool)
        for name, (low, high) in (self.theory.domain() or {}).items():
            column = thetas[:, self.parameters.index(name)]
            inside &= (column >= low) & (column <= high)
        return inside

    def _sum(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum over components of a few finite rows inside the box; a row that is -inf is not given to the components that follow."""
        batch = self._spectra(thetas)
        nuisances = self._nuisances(thetas)
        total, alive = np.zeros(len(thetas)), np.arange(len(thetas))
        for component in self.components:
            if len(alive) < len(thetas):
                part = {name: values[alive] for name, values in nuisances.items()}
                found = component.log_likelihood_many(batch.take(alive), part)
            else:
                found = component.log_likelihood_many(batch, nuisances)
            total[alive] += found
            alive = alive[total[alive] > -np.inf]
            if not len(alive):
                break
        return total

    def _spectra(self, thetas: NDArray[np.float64]) -> SpectraBatch:
        """Spectra of each row; where the theory raises DataError for one (its arrays held NaN), that row is NaN."""
        points = np.ascontiguousarray(thetas[:, : len(self.theory.parameters)])
        try:
            return self.theory.spectra_many(points)
        except DataError:
            return SpectraBatch.stack([self._one(point) for point in points])

    def _one(self, point: NDArray[np.float64]) -> Spectra:
        """Spectra at one theory point, NaN where the theory raises DataError."""
        try:
            return self.theory.spectra(point)
        except DataError:
            return Spectra.unchecked({name: np.full(l_max + 1, np.nan) for name, l_max in self.theory.l_max.items()})

    def _nuisances(self, thetas: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        first = len(self.theory.parameters)
        return {member.name: np.ascontiguousarray(thetas[:, first + i]) for i, member in enumerate(self._nuisance)}

    def _point(self, theta: NDArray[np.float64]) -> tuple[Spectra, dict[str, float]]:
        """Spectra and nuisance parameters at one theta (n_parameters,)."""
        theta = self._checked(np.asarray(theta, dtype=np.float64)[None, :])
        return self._spectra(theta).row(0), {name: float(values[0]) for name, values in self._nuisances(theta).items()}

    def spectra(self, theta: NDArray[np.float64]) -> Spectra:
        """The theory's spectra at ``theta`` (n_parameters,)."""
        return self._point(theta)[0]

    def default_priors(self) -> PriorSet:
        """The theory's own default priors, or uniform ones on its box; then each nuisance parameter's, once.

        Raises
        ------
        ConfigError
            If the theory has neither.
        """
        return theory_priors(self.theory, self._nuisance)

    def domain(self) -> dict[str, tuple[float, float]] | None:
        """The theory's box by sampled name; None with ``outside="reject"`` or a theory without one."""
        return self.theory.domain() if self.outside == "error" else None

    def edges(self) -> dict[str, tuple[float, float]] | None:
        """The theory's box whatever ``outside`` is: what an edge report compares the posterior with."""
        return self.theory.domain()

    def explain(self, theta: NDArray[np.float64]) -> list[str]:
        """Why `log_likelihood` is -inf or NaN at ``theta``: one line per reason, of every component; empty where it is finite."""
        values = np.asarray(theta, dtype=np.float64)
        bad = [f"{name} = {value} is not finite" for name, value in zip(self.parameters, values, strict=True) if not math.isfinite(value)]
        if bad:
            return bad
        lines = self._explain_theory(values[: len(self.theory.parameters)])
        if lines:
            return lines
        spectra, nuisance = self._point(values)
        return [line for component in self.components for line in component.explain(spectra, nuisance)]

    def _explain_theory(self, point: NDArray[np.float64]) -> list[str]:
        """Why the theory has no spectra at ``point``: its own reasons, else the box, else what it raises."""
        lines = list(self.theory.explain(point))
        if lines:
            return lines
        for name, (low, high) in (self.theory.domain() or {}).items():
            value = point[self.theory.parameters.index(name)]
            if not low <= value <= high:
                lines.append(f"theory: {name} = {value:g} is outside [{low:g}, {high:g}]")
        if not lines:
            try:
                self.theory.spectra(point)
            except DataError as error:
                lines.append(f"theory: {error}")
        return lines

    def breakdown(self, theta: NDArray[np.float64]) -> dict[str, float]:
        """chi2 = -2 ln L of each component at ``theta`` (n_parameters,)."""
        spectra, nuisance = self._point(theta)
        return {component.name: component.chi2(spectra, nuisance) for component in self.components}

    def predict(self, theta: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Each component's model of its data at ``theta``, by component name."""
        spectra, nuisance = self._point(theta)
        found: dict[str, NDArray[np.float64]] = {}
        for component in self.components:
            found.update(component.predict(spectra, nuisance))
        return found

    @property
    def derived_names(self) -> tuple[str, ...]:
        """The theory's derived parameters, then chi2 of each component and their total."""
        return (*self.theory.derived_names, *(f"chi2__{name}" for name in self.names), "chi2__total")

    @property
    def derived_latex(self) -> tuple[str, ...]:
        """Labels of the derived quantities, without dollar signs."""
        return tuple(LATEX.get(name, name.replace("_", r"\_")) for name in self.derived_names)

    def derived_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derived quantities (n, n_derived) of each row of ``thetas`` (n, n_parameters)."""
        thetas = self._checked(thetas)
        parts = self.components_many(thetas)
        theory = self.theory.derived_many(np.ascontiguousarray(thetas[:, : len(self.theory.parameters)]))
        return np.column_stack([theory, -2.0 * parts, -2.0 * parts.sum(axis=1)])

    def components_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-likelihood of each component (n, n_components) at each row of ``thetas`` (n, n_parameters)."""
        thetas = self._checked(thetas)
        if self._form is not None:
            return self._form.components_many(thetas)
        parts = np.empty((len(thetas), len(self.components)))
        for start in range(0, len(thetas), _CHUNK):
            rows = thetas[start : start + _CHUNK]
            batch, nuisances = self._spectra(rows), self._nuisances(rows)
            for k, component in enumerate(self.components):
                parts[start : start + _CHUNK, k] = component.log_likelihood_many(batch, nuisances)
        return parts

    def simulate(self, theta: NDArray[np.float64], rng: np.random.Generator) -> dict[str, Any]:
        """Data of every component drawn at ``theta`` (n_parameters,), by component name."""
        spectra, nuisance = self._point(theta)
        return {component.name: component.simulate(spectra, nuisance, rng) for component in self.components}

    def with_data(self, data: Mapping[str, Any]) -> Hybrid:
        """The same experiment with other data for the components named; the others keep theirs."""
        for name in data:
            self.component(name)
        components = tuple(item.with_data(data[item.name]) if item.name in data else item for item in self.components)
        return replace(self, components=components)

    def smooth(self) -> Hybrid:
        """The same Hybrid with linear SimAll look-up, for searches by gradient."""
        components = tuple(item.smooth() if hasattr(item, "smooth") else item for item in self.components)
        changed = any(one is not other for one, other in zip(components, self.components, strict=True))
        return replace(self, components=components) if changed else self

    def compiled(self) -> CompiledLikelihood | None:
        """The scalar kernel with its packed data, or None where the theory is not an emulator."""
        return None if self._form is None else self._form.compiled()

    def citations(self) -> tuple[str, ...]:
        """What to cite: each component's papers, each once."""
        return tuple(dict.fromkeys(item for component in self.components for item in component.citations()))

    def provenance(self) -> dict[str, Any]:
        """Origin of the data for the manifest: relative file names and their sha256, sources, notes."""
        files: dict[str, str] = {}
        for component in self.components:
            files.update(component.origin.files)
        sources = dict.fromkeys(component.origin.source for component in self.components)
        notes = dict.fromkeys(note for component in self.components for note in component.origin.notes)
        return {"files": dict(sorted(files.items())), "source": ", ".join(sources), "notes": list(notes)}

    def comparison_key(self) -> str:
        """sha256 over the data of every component: evidences may be compared only where it is equal."""
        return sha256_of("cmb-data", sorted(component.fingerprint() for component in self.components))

    def fingerprint(self) -> str:
        """sha256 over theory, data, kernel version and options."""
        parts = [component.fingerprint() for component in self.components]
        form = "spectra" if self._form is None else self._form.evaluation
        return sha256_of("cmb", KERNEL_VERSION, self.theory.fingerprint(), list(self.parameters), parts, form, self.outside)

    def reference_values(self) -> dict[str, tuple[float, float, str]]:
        """Published mean, standard deviation and source by parameter, where this is a published combination of the real data."""
        return published_values(self.components, self.parameters)

    def figures(self, posterior: Any) -> dict[str, Any]:
        """The engine's own matplotlib figures of a Posterior, by name."""
        from sciinf.engines.cmb.plots import figures

        return figures(self, posterior)
