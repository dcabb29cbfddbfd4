"""The press: turns the texts in `text/` into the sample documents. Texts hold the words, this package the looks."""
