"""Faults that the cmb suite must find: a wrong covariance, a wrong calibration of lensing, a dropped component."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sciinf.calibration import sbc
from sciinf.calibration.injections import Campaign
from sciinf.calibration.verdict import ALARM, Verdict
from sciinf.core.engine import CompiledLikelihood
from sciinf.core.fingerprint import sha256_of
from sciinf.core.prior_set import PriorSet
from sciinf.core.problem import Problem
from sciinf.core.seeding import generator
from sciinf.engines.cmb.component import A_PLANCK
from sciinf.engines.cmb.gaussian import GaussianComponent
from sciinf.engines.cmb.lensing import Lensing
from sciinf.engines.cmb.model import Hybrid
from sciinf.engines.cmb.plik_lite import PlikLite
from sciinf.engines.cmb.spectra import Spectra

__all__ = ["Mismatched", "data_ranks", "mock_chi2", "pp_divided", "scaled_covariance"]


@dataclass(frozen=True, eq=False)
class Mismatched:
    """An engine that analyses with one hybrid what another one simulates: for negative controls.

    Parameters
    ----------
    analysis : Hybrid
        Evaluated; components that it lacks are dropped from the data.
    truth : Hybrid
        Simulates; the same parameters.
    """

    analysis: Hybrid
    truth: Hybrid

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names, the same for both."""
        return self.analysis.parameters

    def log_likelihood(self, theta: NDArray[np.float64]) -> float:
        """The analysis' ln L at ``theta`` (n_parameters,)."""
        return self.analysis.log_likelihood(theta)

    def log_likelihood_many(self, thetas: NDArray[np.float64]) -> NDArray[np.float64]:
        """The analysis' ln L of each row of ``thetas`` (n, n_parameters)."""
        return self.analysis.log_likelihood_many(thetas)

    def compiled(self) -> CompiledLikelihood | None:
        """The analysis' compiled form."""
        return self.analysis.compiled()

    def default_priors(self) -> PriorSet:
        """The truth's."""
        return self.truth.default_priors()

    def domain(self) -> dict[str, tuple[float, float]] | None:
        """The analysis' box."""
        return self.analysis.domain()

    def simulate(self, theta: NDArray[np.float64], rng: np.random.Generator) -> dict[str, Any]:
        """Data of every component of the truth."""
        return self.truth.simulate(theta, rng)

    def with_data(self, data: dict[str, Any]) -> Mismatched:
        """The same mismatch on other data."""
        kept = {name: values for name, values in data.items() if name in self.analysis.names}
        return Mismatched(self.analysis.with_data(kept), self.truth.with_data(data))

    def fingerprint(self) -> str:
        """sha256 over both."""
        return sha256_of("mismatched", self.analysis.fingerprint(), self.truth.fingerprint())


def scaled_covariance(component: PlikLite, factor: float) -> PlikLite:
    """plik_lite with a covariance multiplied by ``factor``."""
    return PlikLite(
        dataclasses.replace(component.data, covariance=factor * component.data.covariance), component.spectra, component.l_range
    )


def pp_divided(component: Lensing, spectra: Spectra, y: float) -> float:
    """chi2 of lensing with the classical mistake: PP divided by A_planck^2 as well."""
    wrong = Spectra.unchecked({name: spectra[name] / (y * y if name == "PP" else 1.0) for name in component.requires})
    return component.chi2(wrong, {A_PLANCK: y})


def mock_chi2(label: str, chi2: NDArray[np.float64], degrees: int) -> Verdict:
    """chi2 of mock data at their truth follow the chi2 distribution: mean, variance and shape (KS); Bonferroni over the three."""
    n = len(chi2)
    mean_z = (np.mean(chi2) - degrees) / np.sqrt(2.0 * degrees / n)
    fourth = 12.0 * degrees * (degrees + 4.0)  # central moment of chi2
    variance_z = (np.var(chi2, ddof=1) - 2.0 * degrees) / np.sqrt((fourth - (2.0 * degrees) ** 2) / n)
    p_values = (2.0 * stats.norm.sf(abs(mean_z)), 2.0 * stats.norm.sf(abs(variance_z)), stats.kstest(chi2, stats.chi2(degrees).cdf).pvalue)
    p = float(min(1.0, 3.0 * min(p_values)))
    detail = f"z of the mean of chi2 over {n} mocks, {degrees} degrees of freedom; z of the variance {variance_z:+.2f}"
    return Verdict(label, float(mean_z), p, n, p > ALARM, detail)


def component_mocks(component: GaussianComponent, spectra: Spectra, y: float, n: int, seed: int) -> list[GaussianComponent]:
    """The component with ``n`` data sets drawn at ``spectra`` and A_planck = ``y``."""
    rng = generator(seed, f"mocks/{component.name}")
    return [component.with_data(component.simulate(spectra, {A_PLANCK: y}, rng)) for _ in range(n)]


def data_ranks(result: Campaign, problem: Problem, seed: int) -> NDArray[np.int64]:
    """Rank of the truth's ln L among its draws' ln L, all data of ``problem`` included: (n,).

    Ranks of parameters alone cannot tell that data were ignored (a posterior of half the data is calibrated too); a test quantity that
    depends on all data can: Modrak et al., arXiv:2211.02383.
    """
    ranks = np.empty(len(result), dtype=np.int64)
    for i, (theta, draws) in enumerate(zip(result.theta, result.draws, strict=True)):
        unit = problem.simulate(theta, generator(seed, f"simulate/{i}"))
        values = unit.log_likelihood_many(np.vstack([theta[None, :], draws]))
        ranks[i] = sbc.rank_of(values[:1], values[1:, None], generator(seed, f"data-ties/{i}"))[0]
    return ranks
