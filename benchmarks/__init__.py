"""Measurements, side by side with the bare system calls and with other libraries; see docs/performance.md."""
