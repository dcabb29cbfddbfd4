"""The Qwen3-VL-Embedding backbone: loading, prompt and forward pass."""
