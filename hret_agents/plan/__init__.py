"""The field plan: what each leaf of a schema is, and with that what becomes of it."""
