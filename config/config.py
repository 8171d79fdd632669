"""Keys and settings, the weakest source: flags, the environment and .env are stronger.

Read as plain assignments, never run. Leave a key empty to take it from the environment.
"""

import os

OPENAI_API_KEY = os.environ.get("OPENAI_API_KEY")
HF_TOKEN = os.environ.get("HF_TOKEN")
BATCH_SIZE = 10  # most rows in one translation request
MAX_RETRIES = 3  # further attempts after a failure
