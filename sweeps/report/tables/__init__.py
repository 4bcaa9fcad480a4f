"""Tables of a sweep as sheets, and sheets as text, Markdown, LaTeX, HTML, CSV and JSON."""
