"""Stands in for Azure's name where none of its packages is installed."""
