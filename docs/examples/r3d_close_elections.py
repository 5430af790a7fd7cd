"""Close elections, simulated: what winning does to the donations of a district's precincts, against a truth in closed form.

    python docs/examples/r3d_close_elections.py --out runs/close_elections

A district's candidate wins where the vote share exceeds one half. The outcome is no single number but a sample, one value for each
precinct: the logarithm of donations to the winner in the next cycle. Districts differ in their mean, which follows the vote share; winning
leaves that mean as it is and spreads the precincts apart, by half as much again: strongholds give more, others less. So nothing happens on
average, and the effect on the quantile at level q is 0.5 * 0.8 * z(q), with z the normal quantile.

It writes effect.png, the curve with its band and that truth; fit.h5; and quantiles.h5, all that a fit needs of the donations.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from sciinf.engines import r3d

GAMMA, SIGMA, BETWEEN = 0.5, 0.8, 0.4
"""Growth of the spread where the candidate wins; spread of precincts; spread of districts around the vote share's line."""


def elections(n: int, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], r3d.simulate.Simulated]:
    """Tables of precincts and of districts, their rows in no order, and what they were made from."""
    rng = np.random.default_rng(seed)
    data = r3d.simulate.closed_form(n, rng.integers(40, 121, n), GAMMA, BETWEEN, SIGMA, rng)
    district = np.array([f"district {i}" for i in range(n)])
    rows, places = rng.permutation(len(data.outcomes.values)), rng.permutation(n)
    precincts = {"district": np.repeat(district, data.outcomes.sizes)[rows], "log_donations": data.outcomes.values[rows]}
    districts = {"district": district[places], "vote_share": 0.5 + 0.5 * data.x[places]}
    return precincts, districts, data


def main() -> None:
    """Simulate, fit, test, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/close_elections"), help="folder for the results")
    parser.add_argument("--districts", type=int, default=1200, help="number of districts")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    precincts, districts, data = elections(options.districts, options.seed)
    columns = r3d.FrameColumns(unit="district", value="log_donations", running_variable="vote_share")
    settings = r3d.R3DSettings()
    table = r3d.extract_quantiles([precincts], settings.q_grid, columns=columns)  # many files: a list of their paths
    table.save(options.out / "quantiles.h5")
    fit = r3d.R3D.from_frame(table, districts, cutoff=0.5, columns=columns).fit()
    fit.save(options.out / "fit.h5")
    print(fit.summary())

    band = fit.conf_band(0.05, seed=1)
    inside = (band.lower <= data.effect) & (data.effect <= band.upper)
    average = fit.average_effect([(0.01, 0.99)])
    (nullity,) = fit.test_nullity(seed=1)
    (homogeneity,) = fit.test_homogeneity(seed=1)
    spread = (fit.params[89] - fit.params[9]) / 2.0
    print(f"the band holds the truth at {inside.sum()} of {len(inside)} levels")
    print(f"average effect {average.estimate[0]:+.3f} +- {average.se[0]:.3f} (true 0)")
    print(f"no effect anywhere: p = {nullity.p_value:.4f}; the same effect everywhere: p = {homogeneity.p_value:.4f}")
    print(f"half the distance of the outer deciles' effects: {spread:.3f} (true {data.effect[89]:.3f})")

    figure = fit.plot_effect(band)
    figure.axes[0].plot(data.q, data.effect, color="black", linestyle="--", linewidth=1.0, label="truth")
    figure.axes[0].set_ylabel("effect on log donations")
    figure.axes[0].legend(frameon=False, fontsize=9)
    figure.savefig(options.out / "effect.png", dpi=150)


if __name__ == "__main__":
    main()
