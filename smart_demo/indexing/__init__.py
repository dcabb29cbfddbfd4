"""From files to library pages: the indexer, its admission checks, and the sample documents."""
