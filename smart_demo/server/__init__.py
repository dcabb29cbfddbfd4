"""ASGI middleware, visitor identity and cleanup: what runs before or beside Gradio."""
