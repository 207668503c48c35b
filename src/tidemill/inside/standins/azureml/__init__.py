"""Stands in for Azure ML's first SDK where it is not installed."""
