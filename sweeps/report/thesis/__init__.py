"""The published table beside ours, and what the thesis claims of it."""
