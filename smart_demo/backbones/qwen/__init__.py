"""Qwen3-VL-Embedding: prompt, loading and forward pass."""
