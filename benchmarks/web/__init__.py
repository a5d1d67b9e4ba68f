"""Measures what sessions add to a web request: ``python -m benchmarks.web``."""
