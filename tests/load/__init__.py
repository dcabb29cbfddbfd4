"""Many simultaneous visitors against the real server: the promises that are made to them, and how long they wait."""
