"""The command line, as people and machines use it."""
