"""The command that runs a sweep: its options, what it trains, and what it prints."""
