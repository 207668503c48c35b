"""Runs in the container beside the model: imports `base`, its HTTP server and the model's own library, nothing else."""
