"""Reference points for importance draws: where they are placed, and the estimate from draws alone."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from sciinf.core.errors import ConvergenceError, DataError
from sciinf.core.seeding import generator
from sciinf.engines.pn.hull import check_inside
from sciinf.engines.pn.mixture import Mixture
from sciinf.engines.pn.moments import whitening_root
from sciinf.engines.pn.nodes import has_rule
from sciinf.engines.pn.partition import is_exact
from sciinf.engines.pn.support import Box, Circle, Integers, Interval

if TYPE_CHECKING:
    from sciinf.engines.pn.family import ExponentialFamily
    from sciinf.engines.pn.likelihood_settings import LikelihoodSettings

__all__ = ["Placement", "budget", "check_hull", "extended", "fit_by_draws", "inside_domain", "placed"]

FloatArray = NDArray[np.float64]

_PER_OBSERVATION, _MOST_DRAWS = 400, 2_000_000
_MOST_REFERENCES = 64
_PILOT = 1000  # draws of a reference while places are sought
_BRIDGE = 30.0  # effective pilot draws from which a new reference is reached
_ROUNDS = 6  # of references added after the real draws
_SOBOL = 4096
_CORNERS = 10  # dimensions up to which all corners of the box are tried
_HULL = 2000  # rows of the first linear program
_STEPS = 20
_FIT_DRAWS = 20_000
_CHAINS = 4


def _drawn(family: ExponentialFamily, theta: FloatArray, n: int, rng: np.random.Generator) -> tuple[FloatArray, float]:
    """Statistics (n, p) of draws at theta, and the share of them that counts."""
    if has_rule(family.support) or is_exact(family):
        x = np.asarray(family.simulate(theta, n, rng), dtype=np.float64)
        return family.evaluate(x.reshape(n, family.support.dim)), 1.0
    from sciinf.results.diagnostics import ess_mean

    n = -(-n // _CHAINS) * _CHAINS  # chains by turns, thinned
    statistics = family.evaluate(np.asarray(family.simulate(theta, n, rng), dtype=np.float64).reshape(n, family.support.dim))
    chains = statistics.reshape(-1, _CHAINS, family.p)
    return statistics, min(1.0, min(float(ess_mean(chains[:, :, k].T)) for k in range(family.p)) / n)


def budget(n: int, settings: LikelihoodSettings) -> int:
    """Draws in all.

    Raises
    ------
    ConvergenceError
        If none are asked for and the limit would leave the posterior displaced.
    """
    if settings.n_draws is not None:
        return int(settings.n_draws)
    wanted = _PER_OBSERVATION * n
    if wanted > _MOST_DRAWS:
        raise ConvergenceError(
            f"pn: n = {n:,} observations need {wanted:,} importance draws (S_eff >= {_PER_OBSERVATION} n) to hold the posterior within a "
            f"twentieth of its standard deviation; without n_draws there are {_MOST_DRAWS:,}, S_eff at most that many and mc_shift "
            f"{math.sqrt(n / _MOST_DRAWS):.3f}. Give n_draws"
        )
    return wanted


@dataclass(frozen=True, eq=False)
class Placement:
    """Where psi is needed: the centre (p,), and the box (p,), (p,) around it."""

    centre: FloatArray
    low: FloatArray
    high: FloatArray

    def trial_points(self, family: ExponentialFamily) -> FloatArray:
        """Sobol points and corners of the box, those inside the natural domain (n, p)."""
        p = len(self.centre)
        cube = qmc.Sobol(p, scramble=False).random(_SOBOL)
        points = self.low + (self.high - self.low) * cube
        if p <= _CORNERS:
            corners = np.array(list(itertools.product(*zip(self.low, self.high, strict=True))))
            points = np.vstack([points, corners])
        return np.asarray(points[[inside_domain(family, point) for point in points]], dtype=np.float64)


def inside_domain(family: ExponentialFamily, theta: FloatArray) -> bool:
    """Whether psi is finite at theta: by the family's own rule, by integrating where the support has no end, else always.

    Where an integral is not resolved, so that psi is of no use, the answer is no.
    """
    if family.boundary(theta) is not None:
        return False
    bounded = family.support.is_finite or isinstance(family.support, Box | Circle | Interval)
    closed = type(family).boundary is not _plain_boundary()
    if bounded or closed or not has_rule(family.support):
        return True
    try:
        return family.in_domain(theta)
    except ConvergenceError:
        return False


def _plain_boundary() -> object:
    from sciinf.engines.pn.family import ExponentialFamily

    return ExponentialFamily.boundary


class _Search:
    """References chosen so far, with draws at each."""

    def __init__(self, family: ExponentialFamily, seed: int) -> None:
        self.family, self.seed = family, seed
        self.collapses = family.support.is_finite or isinstance(family.support, Integers) or not has_rule(family.support)

    def mixture(self, thetas: FloatArray, sizes: list[int], stage: str, psi: float) -> Mixture:
        """Fresh draws at all references, solved."""
        drawn = [
            _drawn(self.family, theta, size, generator(self.seed, f"pn.draws/{stage}/{k}"))
            for k, (theta, size) in enumerate(zip(thetas, sizes, strict=True))
        ]
        statistics, kept = np.vstack([rows for rows, _ in drawn]), min(share for _, share in drawn)
        numbers = np.array([float(len(rows)) for rows, _ in drawn])
        return Mixture.of(thetas, numbers, *self.collapsed(statistics, np.ones(len(statistics))), psi, kept)

    def collapsed(self, statistics: FloatArray, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Different rows with their counts, where x is discrete."""
        if not self.collapses:
            return statistics, counts
        rows, which = np.unique(statistics, axis=0, return_inverse=True)
        return rows, np.bincount(which.reshape(-1), weights=counts, minlength=len(rows)).astype(np.float64)


def _sizes(total: int, k: int) -> list[int]:
    """Half of the draws at the centre, where the posterior is; the rest alike."""
    if k == 1:
        return [total]
    each = max(total // (2 * (k - 1)), 1)
    return [max(total - each * (k - 1), 1), *[each] * (k - 1)]


def placed(family: ExponentialFamily, where: Placement, n: int, settings: LikelihoodSettings, psi: float) -> Mixture:
    """Draws from references that cover a box.

    Parameters
    ----------
    family : ExponentialFamily
    where : Placement
    n : int
        Observations.
    settings : LikelihoodSettings
    psi : float
        At the centre.

    Raises
    ------
    ConvergenceError
        If the box is not covered within the settings' draws and references; names the worst theta and its effective draws.

    Notes
    -----
    The first reference is the centre. With few draws at each, the next is put where the effective number is too low and still above
    `_BRIDGE`, so that its psi is tied to the others; where no such place is, on the way to the nearest. Then the real draws.
    """
    total, most = budget(n, settings), settings.n_references or _MOST_REFERENCES
    search, trial = _Search(family, settings.seed), where.trial_points(family)
    thetas = where.centre[None, :]
    if most > 1:
        thetas = _explored(search, where, trial, thetas, (total, most, settings.ess_min, psi))
    for attempt in range(_ROUNDS):
        mixture = search.mixture(thetas, _sizes(total, len(thetas)), f"real/{attempt}", psi)
        effective = mixture.effective(trial)
        worst = int(np.argmin(effective))
        if effective[worst] >= settings.ess_min:
            return mixture
        if len(thetas) >= most:
            break
        thetas = np.vstack(
            [thetas, _next(mixture, where.centre, trial[effective < settings.ess_min], effective[effective < settings.ess_min])]
        )
    raise ConvergenceError(
        f"pn: importance draws do not cover the box: of {len(trial)} trial points theta = {np.round(trial[worst], 6).tolist()} has the "
        f"fewest effective draws, {effective[worst]:.1f}, and ess_min = {settings.ess_min:g}; there are {len(thetas)} references and "
        f"{total:,} draws. Raise n_draws or n_references"
    )


def _explored(
    search: _Search, where: Placement, trial: FloatArray, thetas: FloatArray, limits: tuple[int, int, float, float]
) -> FloatArray:
    """References from small samples; ``limits``: draws in all, references at most, ess_min, psi at the centre."""
    total, most, ess_min, psi = limits
    open_ = np.ones(len(trial), dtype=np.bool_)
    while True:
        mixture = search.mixture(thetas, [_PILOT] * len(thetas), "pilot", psi)
        real = min(_sizes(total, len(thetas) + 1)[1:]) / _PILOT
        needed = max(_BRIDGE, 1.3 * ess_min / real)
        effective = mixture.effective(trial[open_])
        low = effective < needed
        open_[np.flatnonzero(open_)[~low]] = False
        if not low.any() or len(thetas) >= most or needed > _PILOT:
            return thetas
        thetas = np.vstack([thetas, _next(mixture, where.centre, trial[open_], effective[low])])


def _next(mixture: Mixture, centre: FloatArray, points: FloatArray, effective: FloatArray) -> FloatArray:
    """Where the next reference goes: the point with the fewest effective draws that is still reached, or on the way to the nearest."""
    reached = effective >= _BRIDGE
    if reached.any():
        return np.asarray(points[reached][int(np.argmin(effective[reached]))])
    goal = points[int(np.argmax(effective))]
    away = mixture.thetas - goal
    nearest = mixture.thetas[int(np.argmin(np.einsum("ki,ij,kj->k", away, mixture.moments(centre)[2], away)))]
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = 0.5 * (low + high)
        if mixture.effective((nearest + middle * (goal - nearest))[None, :])[0] >= _BRIDGE:
            low = middle
        else:
            high = middle
    return np.asarray(nearest + max(low, 1e-3) * (goal - nearest))


def extended(family: ExponentialFamily, mixture: Mixture, thetas: FloatArray, seed: int) -> Mixture:
    """The same draws and as many more at each of ``thetas`` (k, p) as the references have on average."""
    search, size = _Search(family, seed), max(round(float(mixture.sizes.mean())), 1)
    first = len(mixture.thetas)
    drawn = [_drawn(family, theta, size, generator(seed, f"pn.draws/extend/{first + k}")) for k, theta in enumerate(thetas)]
    statistics = np.vstack([mixture.rows, *[rows for rows, _ in drawn]])
    counts = np.concatenate([mixture.counts, np.ones(len(statistics) - len(mixture.rows))])
    sizes = np.concatenate([mixture.sizes, [float(len(rows)) for rows, _ in drawn]])
    kept = min([mixture.kept, *[share for _, share in drawn]])
    return Mixture.of(np.vstack([mixture.thetas, thetas]), sizes, *search.collapsed(statistics, counts), float(mixture.psis[0]), kept)


def check_hull(mixture: Mixture, mean: FloatArray, names: tuple[str, ...]) -> None:
    """Check that the data's mean of the statistics lies inside the convex hull of the draws.

    Raises
    ------
    ConvergenceError
        If not: the likelihood from these draws has no maximum.
    """
    rows = mixture.rows
    some = rows[np.linspace(0, len(rows) - 1, min(_HULL, len(rows))).astype(np.int64)]
    for points in (some, rows):
        try:
            check_inside(points, mean, names)
            return
        except DataError as error:
            found = error
    raise ConvergenceError(
        f"pn: the data's mean of the statistics lies outside the convex hull of the {len(rows):,} different draws, so their likelihood has "
        "no maximum. Raise n_draws, or extend() the engine near these data"
    ) from found


def fit_by_draws(family: ExponentialFamily, statistics: FloatArray, share: FloatArray, n: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Maximum-likelihood theta (p,) and the information (p, p) there, from draws at a sequence of references.

    Raises
    ------
    ConvergenceError
        If the step is not below its Monte Carlo error after 20 references.

    Notes
    -----
    Newton's steps with mean and covariance of the draws, at most one standard deviation of the statistics long. The last two thetas have
    independent errors of sqrt(p / S_eff) such deviations; where the step between them is below 2 sqrt(p / S_eff), sqrt 2 of which are
    expected, their mean is taken.
    """
    family.check_exists(statistics, share)
    mean, theta = share @ statistics, family.start(share @ statistics)
    size = max(_FIT_DRAWS, min(10 * n, 10 * _FIT_DRAWS))
    length = math.inf
    for k in range(_STEPS):
        rows, kept = _drawn(family, theta, size, generator(seed, f"pn.draws/fit/{k}"))
        at = rows.mean(axis=0)
        centred = rows - at
        information = centred.T @ centred / len(rows)
        root = whitening_root(information, family.names or ())
        half = np.linalg.solve(root.T, mean - at)
        length = float(np.sqrt(half @ half))
        if length < 2.0 * math.sqrt(family.p / (kept * len(rows))):
            return theta + 0.5 * np.linalg.solve(root, half), information
        theta = theta + np.linalg.solve(root, half) * min(1.0, 1.0 / length)
    raise ConvergenceError(
        f"pn: the estimate from draws has not settled after {_STEPS} references: the last step is {length:.3g} standard deviations of the "
        f"statistics, theta {theta.tolist()}"
    )
