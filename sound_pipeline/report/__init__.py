"""What a run leaves for people to look at: pages, pictures, TensorBoard and comparisons."""
