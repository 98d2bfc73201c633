"""What may reach the page from outside, and what may leave it? The server's rules, which know nothing of Gradio."""
