"""Numbers over folds: results, statistics and differences. Nothing here trains or prints."""
