"""Which units there are, what identifies them, and which of them come next."""
