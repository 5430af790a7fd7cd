"""Phase-marginalised search for evenly spaced, long-lived quasinormal modes (echo combs)."""
