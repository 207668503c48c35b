"""Where images are built."""
