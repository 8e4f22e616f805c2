"""Who runs the trials: executors know trials and data, nothing of strategies."""
