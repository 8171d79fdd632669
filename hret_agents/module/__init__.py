"""The dataset module of a port: its spec from the plan, and what it must do on every row."""
