"""Sound classification as one streaming TensorFlow dataflow."""

__version__ = "0.1.0"
