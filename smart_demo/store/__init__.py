"""The library on disk: token files decide which pages exist, Chroma indexes them."""
