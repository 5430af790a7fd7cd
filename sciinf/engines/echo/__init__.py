"""Phase-marginalised search for combs of quasinormal modes in gravitational-wave strain."""
