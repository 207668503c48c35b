"""Implementations of one port: executors."""
