"""Which configuration comes next, and which gets no further fold."""
