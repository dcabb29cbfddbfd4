"""Many visitors at once against the real server: what they are promised, and how long they wait."""
