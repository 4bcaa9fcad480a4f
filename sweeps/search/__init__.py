"""Which configuration next? What a search proposes, from the configurations that are done."""
