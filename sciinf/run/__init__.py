"""TOML configs, runs on disk, reproduction, comparison and reports."""
