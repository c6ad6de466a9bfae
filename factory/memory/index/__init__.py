"""The index of one segment: which type it has, how it is built and stored, and how a filter narrows a search in it."""
