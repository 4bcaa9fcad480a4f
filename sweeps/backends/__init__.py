"""Who runs which unit where: this process, or Ray Tune."""
