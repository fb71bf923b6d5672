"""Measurements, each side by side with peers and the raw floor in one run."""
