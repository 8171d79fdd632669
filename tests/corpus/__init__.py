"""Injected defects and their clean look-alikes, and what runs the checks on them."""
