"""Where a model thinks aloud: what a thought begins and ends with, by the family of the model."""

from __future__ import annotations

import re

_ANALYSIS, _FINAL = "<|channel|>analysis<|message|>", "<|channel|>final<|message|>"  # gpt-oss
PAIRS = (
    ("<think>", "</think>"),  # DeepSeek-R1, Qwen3 and most others
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),  # EXAONE Deep
    ("[THINK]", "[/THINK]"),  # Magistral
    ("<seed:think>", "</seed:think>"),  # Seed-OSS
    ("◁think▷", "◁/think▷"),  # Kimi
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A
    (_ANALYSIS, _FINAL),
)
TOKENS = ("<|channel|>", "<|message|>", *(tag for pair in PAIRS[:-1] for tag in pair))
"""What may be a special token of a tokenizer: to leave it out would hide a thought's bounds."""
_BARE = re.compile(r"analysis(?=[A-Z가-힣])(?:.*assistantfinal|.*\Z)", re.DOTALL)  # those left out


def opened(prompt: str) -> str:
    """What opens the thought that a prompt ends with; empty where it ends with none.

    >>> opened("<|assistant|>\\n<think>\\n"), opened("<think></think>")
    ('<think>', '')
    """
    return next((begin for begin, _ in PAIRS if prompt.rstrip().endswith(begin)), "")


def without(reply: str) -> str:
    """A reply without its thoughts: one that is not finished leaves nothing behind it.

    >>> without("<think>3?</think>4"), without("3?</think>4"), without("4 [THINK]3?")
    ('4', '4', '4 ')
    """
    for begin, end in PAIRS:
        if begin in reply or end in reply:
            reply = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", "", reply, flags=re.DOTALL)
            reply = reply.rsplit(end, 1)[-1].split(begin)[0]
    bare = _BARE.match(reply.lstrip())
    return reply.lstrip()[bare.end() :] if bare else reply
