"""How trials of a sweep are chosen when every trial teaches the next."""
