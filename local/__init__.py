"""Runs the whole stack on one machine, without Docker; the ``ivy`` command line."""
