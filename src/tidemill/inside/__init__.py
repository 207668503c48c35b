"""What lies on the PYTHONPATH of a user's step: plain files for any Python from 3.8, importing nothing of ours."""
