"""The run behind train.py."""
