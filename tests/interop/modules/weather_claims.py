"""Does a claim follow? Whole sentences as options, as log-likelihood scoring wants them."""

# mypy: ignore-errors
from .base import BaseDataset, register_dataset

LABELS = ["따라 나온다", "알 수 없다", "모순된다"]


@register_dataset("weather_claims")
class WeatherClaims(BaseDataset):
    """The reference is one of the options, word for word."""

    def load(self):
        raw = self.get_raw_samples()
        return [
            {
                "input": f"관측: {row['seen']}\n주장: {row['claim']}\n판단:",
                "reference": LABELS[row["label"]],
                "options": LABELS,
                "metadata": {"label": row["label"]},
            }
            for row in raw
        ]

    def get_raw_samples(self):
        return [
            {"seen": "오늘 하루 종일 비가 왔다.", "claim": "길이 젖었다.", "label": 0},
            {"seen": "바람이 약하게 불었다.", "claim": "내일은 눈이 온다.", "label": 1},
            {"seen": "기온이 영하 5도였다.", "claim": "물이 얼 만큼 춥지 않았다.", "label": 2},
        ]
