"""The command that runs a sweep: what it was asked, what it trains, and what it prints."""
