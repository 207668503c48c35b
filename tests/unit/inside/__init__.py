"""Tests of what lies on the PYTHONPATH of a step."""
