"""Sheets made of a sweep's table, and written as text, Markdown, LaTeX, HTML, CSV and JSON."""
