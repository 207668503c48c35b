"""Events become history: jobs, assets, models, the cache of steps."""
