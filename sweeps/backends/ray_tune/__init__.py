"""Units on the workers of a Ray cluster. The ledger says what is done; Ray only places work."""
