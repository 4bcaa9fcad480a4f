"""Numbers over folds: results, statistics and differences. This package neither trains nor prints."""
