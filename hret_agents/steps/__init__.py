"""The steps of a port, each from a `Port` to the next one: prepare, translate, write, publish."""
