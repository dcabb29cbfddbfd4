"""Adding documents to the library: the indexer with its quota checks, and the sample documents."""
