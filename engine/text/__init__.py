"""What to read: corpora, packing into blocks, sampling; knows nothing of pruning or of runs."""
