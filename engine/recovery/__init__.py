"""Training after pruning; knows the model and its text, not why a unit is gone or who looks at the loss."""
