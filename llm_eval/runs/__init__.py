"""A run on disk: what was asked, a journal of what was answered, replies kept for other runs."""
