"""SMART late interaction on your own documents: pooled-only and SMART rankings, side by side."""
