"""Implementations of one port: data."""
