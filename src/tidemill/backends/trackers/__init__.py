"""Experiment tracking inside steps."""
