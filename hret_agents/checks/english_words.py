"""English words that are numbers, or hold one."""

from __future__ import annotations

from hret_agents.checks.numerals import Value

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
_ONES += "fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
CARDINAL = {word: n for n, word in enumerate(_ONES.split())}
CARDINAL |= {word: 20 + 10 * n for n, word in enumerate(_TENS.split())}
SCALE = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
SCALE |= {"trillion": 10**12, "dozen": 12, "bn": 10**9, "mn": 10**6}
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
ORDINAL = {word: n for n, word in enumerate(_ORDINALS.split(), 1)}
ORDINAL |= {word[:-1] + "ieth": n for word, n in CARDINAL.items() if n >= 20}
ORDINAL |= {"hundredth": 100, "thousandth": 1000}
PARTED = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4}
PARTED |= {word: n for word, n in ORDINAL.items() if n > 2}
PARTED |= {f"{word}s": n for word, n in ORDINAL.items() if n > 2}
_MONTHS = "january february march april may june july august september october november december"
MONTH = {word: n for n, word in enumerate(_MONTHS.split(), 1)}
MONTH |= {word[:3]: n for word, n in MONTH.items()} | {"sept": 9}
# Words that hold a number, which a translation may write in digits.
HOLDING: dict[str, tuple[Value, ...]] = {
    "once": (1,), "single": (1,), "per": (1,), "each": (1,), "every": (1,), "a": (1,), "an": (1,),
    "another": (1,), "daily": (1,), "hourly": (1,), "weekly": (1,), "monthly": (1,), "alone": (1,),
    "yearly": (1,), "annual": (1,), "annually": (1,), "last": (1,), "next": (1,), "twice": (2,),
    "thrice": (3,), "double": (2,), "doubled": (2,), "doubles": (2,), "triple": (3,),
    "tripled": (3,), "triples": (3,), "quadruple": (4,), "quadrupled": (4,), "pair": (2,),
    "pairs": (2,), "couple": (2,), "both": (2,), "twin": (2,), "twins": (2,), "duo": (2,),
    "trio": (3,), "triplets": (3,), "quartet": (4,), "fortnight": (2, 14), "decade": (10,),
    "century": (100,), "millennium": (1000,), "gross": (144,), "score": (20,), "noon": (12,),
    "midnight": (0, 12, 24), "no": (0,), "none": (0,), "nothing": (0,), "nil": (0,), "week": (7, 1),
    "teen": (10,), "teens": (10,), "teenage": (10,), "teenager": (10,), "teenagers": (10,),
    "freshman": (1,), "freshmen": (1,), "sophomore": (2,), "sophomores": (2,), "junior": (2, 3),
    "juniors": (2, 3), "senior": (3, 4), "seniors": (3, 4), "penny": (1,), "pennies": (1,),
    "nickel": (5,), "nickels": (5,), "dime": (10,), "dimes": (10,), "semester": (1,),
    "triangle": (3,), "triangular": (3,), "pentagon": (5,), "hexagon": (6,), "octagon": (8,),
    "squared": (2,), "square": (2,), "cubed": (3,), "cubic": (3,), "biweekly": (2,),
    "weekday": (5,), "weekdays": (5,), "oneself": (1,), "individual": (1,), "person": (1,),
    "ones": (1,), "solo": (1,), "hundreds": (100,), "thousands": (1000,), "half": (0.5, 50, 30),
    "quarter": (0.25, 25, 15), "quarters": (0.25, 25, 15), "halves": (0.5,),
    "thousandths": (1000,), "dozens": (12,), "tripling": (3,), "doubling": (2,),
    "twos": (2,), "threes": (3,), "fours": (4,), "fives": (5,), "sixes": (6,), "sevens": (7,),
    "eights": (8,), "nines": (9,), "tens": (10,), "bicentennial": (200,), "centennial": (100,),
    "biannual": (2,), "anniversary": (1,),
}  # fmt: skip
DOSES: dict[str, tuple[Value, ...]] = {  # of prescriptions: so many times a day
    "QD": (1,), "BID": (1, 2), "TID": (1, 3), "QID": (1, 4),
}  # fmt: skip
DECADES = {word[:-1] + "ies": n for word, n in CARDINAL.items() if n >= 20}
