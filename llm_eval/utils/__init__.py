"""Names that modules written for haerae-evaluation-toolkit import."""
