"""One file per verb: the story, in order."""
