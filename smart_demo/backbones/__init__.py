"""Embedding models: each turns pages and queries into a pooled vector and token states."""
