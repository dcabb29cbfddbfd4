"""Metrics, judgements and collections."""
