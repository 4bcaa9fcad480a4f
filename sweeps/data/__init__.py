"""Images and splits: data sets, their readers, folds, and the seeds of all random draws."""
