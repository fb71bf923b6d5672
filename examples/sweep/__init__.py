"""The parts of parameter_sweep.py: what to train, who trains it, and how the outcome is checked."""
