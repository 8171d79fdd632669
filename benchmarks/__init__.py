"""Measurements behind the figures in README and CHANGELOG; never part of the test run."""
