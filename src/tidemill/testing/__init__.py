"""Contract suites every back end inherits, shipped so that others can test theirs."""
