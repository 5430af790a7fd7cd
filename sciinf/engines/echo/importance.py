"""Evidence and posterior from a scan: importance sampling from a mixture about its peaks.

A nested run starts from the prior and can pass a narrow mode by, or meet it with a handful of its live points and misjudge its mass. A
scan sees it, but has no evidence. Importance sampling joins them: its evidence is unbiased whatever the mixture is, and the mixture
covers what the scan has found.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sciinf.core.seeding import check_seed, generator
from sciinf.engines.echo.mixture import Mixture
from sciinf.engines.echo.scan_space import SearchSpace
from sciinf.results.importance import psis
from sciinf.results.posterior import Posterior
from sciinf.results.weights import effective_size
from sciinf.samplers.settings import check_integer

if TYPE_CHECKING:
    from sciinf.engines.echo.scan import ScanResult

__all__ = ["importance_sample"]

FloatArray = NDArray[np.float64]

_ROUNDS = 5
_BATCH = 10_000
_K_HAT = 0.7


def importance_sample(scan: ScanResult, seed: int, *, n_effective: int = 2000, max_calls: int = 200_000) -> Posterior:
    """Posterior and evidence by importance sampling about a scan's peaks: seconds where a nested run takes minutes and may miss the mode.

    Parameters
    ----------
    scan : ScanResult
        Of the engine and the priors that are meant.
    seed : int
        Of all draws.
    n_effective : int
        Effective samples (Kish) to reach.
    max_calls : int
        Likelihood calls at most, after the mixture is fitted.

    Returns
    -------
    Posterior
        Weighted, with evidence and its standard error. The status is "not_converged" where ``n_effective`` was not reached, or the Pareto
        shape of the largest weights, ``meta["k_hat"]``, is above 0.7: the error is not to be trusted then. Noise without a comb, whose
        posterior is a thousand small peaks, often ends so; there a nested run is the better one.

    Raises
    ------
    ConfigError
        If a number is not a positive integer.

    Notes
    -----
    For a fixed number of draws the evidence is unbiased whatever the mixture; only the draws after its fit enter it. They come in lots of
    10,000 until ``n_effective`` is reached, which nearly always is one lot; to stop by it leaves a bias far below the stated error. What
    neither the scan nor the draws from the prior have met is not in it, as with any sampler. Sums over the turns of a periodic parameter
    stop at one (a part in 1e5 at most).

    Examples
    --------
    >>> import numpy as np
    >>> from sciinf.engines import echo
    >>> rng = np.random.default_rng(1)
    >>> strain = echo.simulate.gaussian_noise(echo.Psd.white(2 / 1024), 4.0, 1 / 1024, rng)
    >>> comb = echo.simulate.comb(strain, spacing=5.83, offset_hz=1.26, width=0.4, amplitude=0.3, band=(50, 110), rng=rng)
    >>> engine = echo.EchoSearch(echo.simulate.inject(strain, comb), amplitude="marginalised", band=(50, 110), offset_unit="Hz")
    >>> posterior = echo.importance_sample(echo.scan(engine), seed=1)
    >>> posterior.log_evidence_error < 0.02, bool(abs(posterior.mean()[0] - 5.83) < 4 * posterior.std()[0])
    (True, True)
    """
    check_integer("importance_sample: n_effective", n_effective, 1)
    check_integer("importance_sample: max_calls", max_calls, 1)
    rng = generator(check_seed(seed), "importance")
    space = SearchSpace.of(scan.engine, scan.priors)
    mixture = Mixture.about(scan, space, rng)
    for _ in range(_ROUNDS):
        mixture = mixture.adapted(rng)
    parts: list[tuple[FloatArray, FloatArray, FloatArray, FloatArray]] = []
    calls, reached = 0, 0.0
    while reached < n_effective and calls < max_calls:
        thetas, log_likelihood, log_prior = mixture.draw(min(_BATCH, max_calls - calls), rng)
        calls += len(thetas)
        inside = log_prior > -math.inf
        weights = np.full(len(thetas), -math.inf)
        weights[inside] = log_likelihood[inside] + log_prior[inside]
        weights[inside] -= special.logsumexp(mixture.log_densities(thetas[inside], log_prior[inside]), axis=0)
        parts.append((thetas, log_likelihood, log_prior, weights))
        reached = effective_size(np.concatenate([part[3] for part in parts]))
    thetas, log_likelihood, log_prior, weights = (np.concatenate([part[i] for part in parts]) for i in range(4))
    log_evidence = float(special.logsumexp(weights)) - math.log(calls)
    shares = np.exp(weights - log_evidence)
    k_hat = psis(weights)[1]
    kept = weights > -math.inf
    sound = reached >= n_effective and k_hat < _K_HAT
    return Posterior(
        samples=thetas[kept],
        log_weights=weights[kept],
        log_likelihood=log_likelihood[kept],
        log_prior=log_prior[kept],
        names=space.priors.names,
        latex=space.priors.latex,
        units=space.priors.units,
        log_evidence=log_evidence,
        log_evidence_error=float(np.std(shares, ddof=1) / math.sqrt(calls)),
        status="ok" if sound else "not_converged",
        meta={
            "sampler": {"kind": "importance"},
            "seed": seed,
            "k_hat": k_hat,
            "counts": {"calls": calls},
            "fixed": dict(space.priors.fixed),
        },
    )
