"""What sessions cost a web request: ``python -m benchmarks.web``."""
