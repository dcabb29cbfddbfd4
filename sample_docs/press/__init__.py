"""Generator of the sample documents. The words are in `text/`, this package holds layout and drawings."""
