"""The models: what there is to prune, and where it comes from; knows nothing of pruning."""
