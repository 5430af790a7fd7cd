"""Compiled building blocks: jit options in one place, special functions, linear algebra."""
