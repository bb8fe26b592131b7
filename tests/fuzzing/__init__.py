"""What `benchmarks/fuzz.py` and `tests/test_fuzz.py` give the package: texts, files, settings.

A target is a source of examples and a check of one. The check raises for what is a fault, and what
the package refuses it lets through.
"""
