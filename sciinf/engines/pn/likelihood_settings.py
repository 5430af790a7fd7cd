"""What can be chosen when a likelihood is made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from sciinf.core.errors import ConfigError, shown
from sciinf.core.seeding import check_seed
from sciinf.engines.pn.settings import one_of, positive_integer

__all__ = ["LikelihoodSettings"]

PartitionKind = Literal["auto", "exact", "importance"]
Parametrisation = Literal["natural", "whitened"]


@dataclass(frozen=True)
class LikelihoodSettings:
    """Settings of `ExponentialFamilyLikelihood`.

    Parameters
    ----------
    partition : {"auto", "exact", "importance"}
        Where the log-partition function comes from: exactly, or from draws of x at reference points; "auto" is exact where that is
        possible.
    n_draws : int, optional
        Draws of x in all. Default: 400 for each observation, at most 2,000,000; that many keep a posterior within about a twentieth of
        its standard deviation, and where the limit cuts them (above 5,000 observations) an own number is asked for.
    n_references : int, optional
        Reference points at most. Default: 64.
    ess_min : float
        Effective draws that a theta must have; below, the log-likelihood is NaN.
    parametrise : {"natural", "whitened"}
        Sample theta itself, or phi in theta = theta_hat + L phi, L L' the model's covariance of the estimate.
    seed : int
        Of the draws.

    Raises
    ------
    ConfigError
        If a value is not possible.

    Examples
    --------
    >>> LikelihoodSettings(parametrise="whitned")
    Traceback (most recent call last):
    sciinf.core.errors.ConfigError: pn: no parametrise 'whitned': did you mean 'whitened'? Allowed: natural, whitened
    """

    partition: PartitionKind = "auto"
    n_draws: int | None = None
    n_references: int | None = None
    ess_min: float = 200.0
    parametrise: Parametrisation = "natural"
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("partition", self.partition, get_args(PartitionKind))
        one_of("parametrise", self.parametrise, get_args(Parametrisation))
        if self.n_draws is not None:
            positive_integer("n_draws", self.n_draws)
        if self.n_references is not None:
            positive_integer("n_references", self.n_references)
        if isinstance(self.ess_min, bool | np.bool_) or not isinstance(self.ess_min, int | float) or not 0.0 <= self.ess_min < math.inf:
            raise ConfigError(f"pn: ess_min must be a finite number of at least 0, got {shown(self.ess_min)}")
        object.__setattr__(self, "seed", check_seed(self.seed))
