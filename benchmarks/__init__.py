"""Compares this store with others on one machine: ``python -m benchmarks --help``."""
