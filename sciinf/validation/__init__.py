"""Validation suites: what `sciinf validate NAME` runs."""
