"""Pages of data spaces: the table of jobs, one job, plots, comparisons."""

from perkey.viewer.spaces.routes import DataSpace

__all__ = ["DataSpace"]
