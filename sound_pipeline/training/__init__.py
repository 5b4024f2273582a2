"""Run behind train.py."""
