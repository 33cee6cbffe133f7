"""Ivy: the B2B payment gateway whose books anyone can check."""
