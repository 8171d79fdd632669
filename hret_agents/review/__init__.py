"""The review of a port: report.html, its rows as a table to correct, and corrections applied."""
