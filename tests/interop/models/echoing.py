"""A backend that fills its dicts in place; the toolkit's relative imports."""

# mypy: ignore-errors
from ..utils.logging import get_logger
from . import register_model
from .base import BaseModel

logger = get_logger(name="echoing", level="INFO")


@register_model("echoing")
class EchoingModel(BaseModel):
    """Answers with the first option, or the input's last word."""

    def __init__(self, model_name_or_path="tiny", prefix="", **kwargs):
        super().__init__(**kwargs)
        self.model_name_or_path = model_name_or_path
        self.prefix = prefix

    def generate_batch(self, inputs, return_logits=False, until=None, **kwargs):
        logger.info("asked %d", len(inputs))
        for item in inputs:
            options = item.get("options")
            text = options[0] if options else item["input"].split()[-1]
            item["prediction"] = self.prefix + text
            for end in until or []:
                item["prediction"] = item["prediction"].split(end)[0]
        return inputs
