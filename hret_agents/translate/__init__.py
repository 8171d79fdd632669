"""The translation engine: units, packs, memory, masks and checks."""
