"""Report of a run: pages, images, TensorBoard and comparisons."""
