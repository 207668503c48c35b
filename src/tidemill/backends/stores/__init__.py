"""Implementations of one port: stores."""
