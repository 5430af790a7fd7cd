"""One BLAS thread: limits hold inside, and are given back."""

from __future__ import annotations

import threadpoolctl

from sciinf.numerics.blas import one_blas_thread


def threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]


def test_the_limit_holds_inside_and_goes_afterwards() -> None:
    with threadpoolctl.threadpool_limits(2):
        before = threads()
        with one_blas_thread():
            assert set(threads()) == {1}
        assert threads() == before
