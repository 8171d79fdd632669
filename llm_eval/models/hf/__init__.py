"""The parts of the `huggingface` backend. They import torch, so only its worker thread loads them.

loading (from a name to an engine), engine (forward passes), cache (what was read already),
encoding (texts to tokens), batching (how many at once), likelihood, generation, sampling.
"""
