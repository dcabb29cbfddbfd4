"""Page or query -> encoding."""
