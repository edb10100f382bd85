"""What a model is worth, measured; knows nothing of how the model came to be."""
