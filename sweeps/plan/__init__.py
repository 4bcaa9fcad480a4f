"""The units of a sweep, what identifies them, and which of them come next."""
