"""Mistakes of a repository that no single document shows."""
