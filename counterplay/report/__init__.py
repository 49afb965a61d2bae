"""Run folders as a page for people: one HTML file, Markdown, and figures."""
