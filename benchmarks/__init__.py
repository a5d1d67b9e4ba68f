"""This store beside others, in one go, on one machine: ``python -m benchmarks --help``."""
