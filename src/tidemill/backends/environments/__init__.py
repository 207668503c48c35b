"""What steps run in."""
