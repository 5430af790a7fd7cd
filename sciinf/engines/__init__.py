"""Likelihood engines, one folder each; none imports another."""
