"""Implementations of one port: artifacts."""
