"""Nested samplers of other packages and our own, each as one function: a problem and a seed in, an `Outcome` out.

A peer gets the same compiled likelihood through plain Python functions, in batches where it takes batches, as a user's own script
would call it; blackjax gets it written in JAX (jax_problems.py), which is what its users have. Settings are each package's defaults
but for the number of live points, which is the same for all but nautilus.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import dynesty
import emcee
import numpy as np

from sciinf import adapters
from sciinf.calibration.analytic import AnalyticProblem
from sciinf.samplers.compiled.walks import CompiledRandomWalk
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty, Emcee

N_LIVE = 200
WALKERS, STEPS, BURN = 64, 5_000, 1_000


@dataclass(frozen=True)
class Outcome:
    """What one run used and gave."""

    calls: int
    log_evidence: float | None
    error: float | None
    ess: float


Sampler = Callable[[int], Outcome]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Peers print and warn."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def kish(log_weights: np.ndarray) -> float:
    """Effective sample size of log weights."""
    weights = np.exp(log_weights - np.max(log_weights))
    return float(weights.sum() ** 2 / np.sum(weights**2))


def walks_for(known: AnalyticProblem) -> int:
    """The length of a random walk: dynesty's own default, 20 steps and one per dimension."""
    return known.problem.n_dim + 20


def ours(known: AnalyticProblem, seed: int, settings: Dynesty) -> Outcome:
    """A nested run through `sample`."""
    found = sample(known.problem, settings, seed=seed, progress=False)
    return Outcome(found.meta["counts"]["calls"], found.log_evidence, found.log_evidence_error, found.ess)


def by_dynesty(known: AnalyticProblem, seed: int, bound: str = "multi") -> Outcome:
    """dynesty as a script would run it."""
    functions = adapters.as_callables(known.problem)
    sampler = dynesty.NestedSampler(
        functions.log_likelihood, functions.prior_transform, known.problem.n_dim, nlive=N_LIVE, bound=bound, sample="rwalk",
        walks=walks_for(known), rstate=np.random.default_rng(seed),
    )  # fmt: skip
    sampler.run_nested(dlogz=0.01, print_progress=False)
    found = sampler.results
    return Outcome(int(np.sum(found.ncall)), float(found.logz[-1]), float(found.logzerr[-1]), kish(found.logwt))


def by_compiled_walk(known: AnalyticProblem, seed: int) -> Outcome:
    """dynesty's own loop with our compiled walk as its internal sampler."""
    problem, walk = known.problem, CompiledRandomWalk(walks=walks_for(known))
    sampler = dynesty.NestedSampler(
        problem.log_likelihood, problem.prior_transform, problem.n_dim, nlive=N_LIVE, bound="multi", sample=walk,
        rstate=np.random.default_rng(seed),
    )  # fmt: skip
    sampler.run_nested(dlogz=0.01, print_progress=False)
    found = sampler.results
    return Outcome(int(np.sum(found.ncall)), float(found.logz[-1]), float(found.logzerr[-1]), kish(found.logwt))


def by_nautilus(known: AnalyticProblem, seed: int) -> Outcome:
    """nautilus with its defaults (2,000 live points, 10,000 effective samples); its evidence error is 1/sqrt(ESS)."""
    from nautilus import Sampler

    functions = adapters.as_callables(known.problem)
    sampler = Sampler(
        functions.prior_transform_many, functions.log_likelihood_many, n_dim=known.problem.n_dim, vectorized=True, seed=seed,
        pass_dict=False,
    )  # fmt: skip
    sampler.run(verbose=False)
    _, log_weights, _ = sampler.posterior()
    return Outcome(int(sampler.n_like), float(sampler.log_z), 1.0 / float(np.sqrt(sampler.n_eff)), kish(log_weights))


def by_ultranest(known: AnalyticProblem, seed: int) -> Outcome:
    """UltraNest with its defaults, vectorized: rejection from its region. It stops at 400 effective samples or its evidence goal."""
    import ultranest

    functions = adapters.as_callables(known.problem)
    np.random.seed(seed)  # noqa: NPY002 - UltraNest draws from the global generator

    def log_likelihood(thetas: np.ndarray) -> np.ndarray:
        return np.maximum(functions.log_likelihood_many(thetas), -1e100)  # it takes no -inf

    sampler = ultranest.ReactiveNestedSampler(list(known.problem.names), log_likelihood, functions.prior_transform_many, vectorized=True)
    found = sampler.run(min_num_live_points=N_LIVE, show_status=False, viz_callback=False)
    weights = np.asarray(found["weighted_samples"]["weights"])
    return Outcome(int(found["ncall"]), float(found["logz"]), float(found["logzerr"]), float(weights.sum() ** 2 / np.sum(weights**2)))


def blackjax_sampler(known: AnalyticProblem) -> Sampler:
    """Nested slice sampling of blackjax, a tenth of the live points replaced per step, 2 slices per dimension (at least 5)."""
    import blackjax
    import jax
    import jax_problems

    jax.config.update("jax_enable_x64", True)
    n_dim, log_likelihood = known.problem.n_dim, jax_problems.in_cube(known.name)
    algorithm = blackjax.nss(
        lambda unit: jax.numpy.where(jax.numpy.all((unit > 0.0) & (unit < 1.0)), 0.0, -jax.numpy.inf),
        lambda unit: jax_problems.inside(unit, log_likelihood),
        num_inner_steps=max(5, 2 * n_dim),
        num_delete=N_LIVE // 10,
    )
    begin, step = jax.jit(algorithm.init), jax.jit(algorithm.step)

    def run(seed: int) -> Outcome:
        key, start, last = jax.random.split(jax.random.key(seed), 3)
        state, dead, calls = begin(jax.random.uniform(start, (N_LIVE, n_dim))), [], N_LIVE
        while True:
            here = state.integrator
            if float(np.logaddexp(here.logZ, here.logZ_live) - here.logZ) < 0.01:
                break
            key, now = jax.random.split(key)
            state, info = step(now, state)
            dead.append(info)
        final = blackjax.ns.utils.finalise(state, dead)
        # Each slice tries both ends of its bracket before it steps out.
        calls += int(np.sum(final.update_info.num_expansions + final.update_info.num_shrink + 2))
        log_weights = np.asarray(blackjax.ns.utils.log_weights(last, final))
        log_z = np.logaddexp.reduce(log_weights, axis=0)
        return Outcome(calls, float(log_z.mean()), float(log_z.std()), kish(log_weights.mean(axis=1)))

    return run


def nested_samplers(known: AnalyticProblem) -> dict[str, Sampler]:
    """Whoever is installed, by name."""
    found: dict[str, Sampler] = {
        "sciinf, compiled nested": lambda seed: ours(known, seed, Dynesty(n_live=N_LIVE, walks=walks_for(known), engine="compiled")),
        "dynesty": lambda seed: by_dynesty(known, seed),
    }
    if importlib.util.find_spec("ultranest"):
        found["UltraNest"] = lambda seed: by_ultranest(known, seed)
    if importlib.util.find_spec("blackjax"):
        found["blackjax nss"] = blackjax_sampler(known)
    if importlib.util.find_spec("nautilus"):
        found["nautilus"] = lambda seed: by_nautilus(known, seed)
    return found


def compiled_ensemble(known: AnalyticProblem, seed: int) -> Outcome:
    """The stretch move of `sample`, a fixed number of steps."""
    settings = Emcee(n_walkers=WALKERS, n_steps=STEPS, burn=BURN, thin=1, engine="compiled")
    found = sample(known.problem, settings, seed=seed, progress=False)
    return Outcome(found.meta["counts"]["calls"], None, None, float(found.ess))


def by_emcee(known: AnalyticProblem, seed: int) -> Outcome:
    """emcee as a script would run it: as many steps of as many walkers."""
    functions = adapters.as_callables(known.problem)
    sampler = emcee.EnsembleSampler(WALKERS, known.problem.n_dim, functions.log_posterior)
    start = known.problem.priors.sample(np.random.default_rng(seed), WALKERS)
    np.random.seed(seed)  # noqa: NPY002 - emcee copies the global generator
    sampler.run_mcmc(start, STEPS)
    tau = emcee.autocorr.integrated_time(sampler.get_chain()[BURN:], quiet=True)
    return Outcome(WALKERS * (STEPS + 1), None, None, float(WALKERS * (STEPS - BURN) / np.max(tau)))
