"""The library: token files are the truth, Chroma is an index."""
