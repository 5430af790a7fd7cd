"""A likelihood of one's own: a straight line through points with Gaussian errors.

From the command line: ``sciinf run docs/examples/own_likelihood.toml``. From Python: ``python docs/examples/own_likelihood.py``.
"""

import numpy as np

import sciinf
from sciinf.core.priors import Normal, Uniform

DATA = {
    "x": np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]),
    "y": np.array([1.1, 2.8, 5.3, 6.9, 9.2, 11.0, 12.7, 15.3]),
    "error": 0.2,
}


def log_likelihood(theta, data):
    residual = (data["y"] - theta[0] * data["x"] - theta[1]) / data["error"]
    return -0.5 * float(residual @ residual)


def simulate(theta, rng):
    return {**DATA, "y": theta[0] * DATA["x"] + theta[1] + DATA["error"] * rng.standard_normal(len(DATA["x"]))}


def engine():
    slope = sciinf.Parameter("slope", Uniform(-10, 10), latex="a")
    intercept = sciinf.Parameter("intercept", Normal(0, 10), latex="b")
    priors = sciinf.PriorSet([slope, intercept])
    return sciinf.FunctionEngine(log_likelihood, ["slope", "intercept"], data=DATA, simulate=simulate, default_priors=priors, version="1")


if __name__ == "__main__":
    problem = sciinf.Problem(engine(), engine().default_priors())
    posterior = sciinf.sample(problem, sciinf.Dynesty(n_live=200), seed=1, progress=False)
    print(posterior.summary())
