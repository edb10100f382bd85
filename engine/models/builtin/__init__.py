"""The built-in models: one folder each, and the script that trained them; knows nothing of pruning."""
