"""The command that reports on a sweep, from its Parquet files alone."""
