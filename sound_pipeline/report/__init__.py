"""What a run leaves for people to look at: pages, images, TensorBoard and comparisons."""
