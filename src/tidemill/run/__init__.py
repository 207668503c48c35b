"""A plan becomes events: staging, scheduling, processes, outputs."""
