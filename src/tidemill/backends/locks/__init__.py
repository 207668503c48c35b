"""Implementations of one port: locks."""
