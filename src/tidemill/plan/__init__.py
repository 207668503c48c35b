"""Documents become a resolved graph: pure, given an `AssetLookup`."""
