"""Parts of launch.py: the command line, the backends, the progress line.  Standard library only."""
