"""Stands in for the name."""
