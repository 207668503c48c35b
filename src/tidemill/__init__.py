"""Run Azure Machine Learning projects anywhere, and keep the model they train alive."""

__version__ = "0.1.0"
