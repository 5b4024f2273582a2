"""Tf.data graph: paths of recordings to batches of prepared windows."""
