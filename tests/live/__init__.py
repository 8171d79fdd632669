"""Checks against real servers, for whoever has one: no test runs them by itself."""
