"""Images and splits: data sets, their readers, folds, and the seeds that they are drawn with."""
