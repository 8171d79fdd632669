"""Spelling of loanwords; the toolkit's logger, and a helper of the module's own."""

# mypy: ignore-errors
from ..utils.logging import get_logger
from .base import BaseDataset, register_dataset

logger = get_logger(name="loanwords", level="INFO")
WORDS = {"juice": ["쥬스", "주스"], "chocolate": ["초콜릿", "초콜렛"], "robot": ["로보트", "로봇"]}
RIGHT = {"juice": "주스", "chocolate": "초콜릿", "robot": "로봇"}


def lettered(options):
    """Options behind letters, a line each."""
    return "\n".join(f"{letter}. {text}" for letter, text in zip("AB", options, strict=True))


@register_dataset("loanwords")
class Loanwords(BaseDataset):
    """Two spellings each; one is right."""

    def __init__(self, dataset_name="loanwords", split="test", subset=None, **kwargs):
        super().__init__(dataset_name, split, subset, kwargs.pop("base_prompt_template", None))
        self.shuffle = kwargs.get("shuffle", False)

    def load(self):
        logger.info("loading %d words", len(WORDS))
        samples = []
        for word, options in WORDS.items():
            samples.append(
                {
                    "input": f"'{word}'의 바른 표기는?\n{lettered(options)}",
                    "reference": "AB"[options.index(RIGHT[word])],
                    "options": ["A", "B"],
                }
            )
        return samples

    def get_raw_samples(self):
        return WORDS
