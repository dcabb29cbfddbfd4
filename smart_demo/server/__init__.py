"""HTTP requests, visitors and clean-up: everything that runs before or beside Gradio."""
