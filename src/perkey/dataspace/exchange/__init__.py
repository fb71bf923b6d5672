"""Export, import and linked views of jobs."""
