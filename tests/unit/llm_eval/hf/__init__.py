"""The parts of the huggingface backend."""
