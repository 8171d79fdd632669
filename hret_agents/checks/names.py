"""Names, formulas, units: what a good translation may leave as it is, or write shorter."""

from __future__ import annotations

import re

from hret_agents.checks.english_words import CARDINAL, ORDINAL, PARTED, SCALE
from hret_agents.translate.masks import letters_outside
from hret_agents.translate.scripts import LETTER, SYMBOLS

UNITS = frozenset(
    "sin cos tan cot sec csc log ln exp sqrt mod max min lim det gcd lcm pi km cm mm nm kg mg lb "
    "lbs oz ft yd mi mph kmh kmph kph rpm fps bpm sec hr hrs mins secs hz khz mhz ghz kb mb gb tb "
    "kbps mbps gbps dpi mol rad deg gm gms kgs kms cms ml dl cl kj kpa kwh kcal cal ppm ppb atm "
    "mmhg psi tsp tbsp gal qt pt fl sq cu cc eq mah rs".split()
)
# Words of up to three letters: what else is so short and in lower case is a symbol.
_SHORT_WORDS = frozenset(
    "ad ah am an as at aw ax be by do eh em en er ex go ha he hi hm ho id if in is it la lo ma me "
    "mr ms my no of oh oi ok on or ow ox oz pa re sh so tv uh um un up us vs we ye yo "
    "ace act add ado ads aft age ago aid ail aim air ale all alp amp and ant any ape app apt arc "
    "are ark arm art ash ask asp ass ate awe axe aye bad bag ban bar bat bay bed bee beg bet bib "
    "bid big bin bio bit boa bob bog bow box boy bra bud bug bum bun bus but buy bye cab cam can "
    "cap car cat cod cog con cop cot cow coy cry cub cud cue cup cut dab dad dam day den dew did "
    "die dig dim din dip doe dog don dot dry dub dud due dug dye ear eat ebb eel egg ego elf elk "
    "elm emu end eon era err eve eye fad fan far fat fax fed fee few fig fin fir fit fix flu fly "
    "foe fog fop for fox fry fun fur gag gap gas gay gel gem get gig gin god got gum gun gut guy "
    "gym had hag ham has hat hay hem hen her hex hey hid him hip his hit hob hoe hog hop hot how "
    "hub hue hug hum hut ice icy ill imp ink inn ion ire its ivy jab jam jar jaw jay jet jig job "
    "jog jot joy jug jut keg key kid kin kit lab lac lad lag lap law lax lay led leg let lid lie "
    "lip lit log lot low lug lye mad man map mar mat maw may men met mid mix mob mom mop mow mud "
    "mug mum nab nag nap nay net new nil nip nod nor not now nun nut oak oar oat odd ode off oil "
    "old one opt orb ore our out owe owl own pad pal pan pap par pat paw pay pea peg pen pep per "
    "pet pew pie pig pin pit ply pod pop pot pro pub pug pun pup pus put rag ram ran rap rat raw "
    "ray red ref rib rid rig rim rip rob rod roe rot row rub rug rum run rut rye sac sad sag sap "
    "sat saw say sea see set sew sex she shy sin sip sir sit six ski sky sly sob sod son sow soy "
    "spa spy sty sub sue sum sun tab tad tag tan tap tar tax tea ten the thy tie tin tip toe ton "
    "too top tot tow toy try tub tug two urn use van vat vet via vow wad wag wan war was wax way "
    "web wed wee wet who why wig win wit woe wok won woo wow yak yam yap yaw yes yet yew you zap "
    "zen zip zit zoo".split()
)
_NAME = re.compile(r"(?:\d\S*|[^\W\d_]|[a-z]{0,2}[A-Z]\w*)\Z")
_SYMBOL = re.compile(r"[a-z\d]+\Z")
_LETTER_RUNS = re.compile(r"[a-z]+")
_FORMULA = re.compile(r"[=^+*<>≤≥→⇌√×÷∫∑−]|\)\s*/|/\s*\(")
_NO_NAMES = frozenset(  # capitals make no name of these
    "a all any both either false he i it neither never no none not she that the they this true we "
    "yes you".split()
)
_COUNTING = _NO_NAMES | frozenset(
    "above below cannot each every few following half least many more most much one only other "
    "others some them these those three two us".split()
)
_PARTICLES = frozenset(
    "al bin da de del della den der di dos du el ibn la le of the ten ter van von zu".split()
)
_LATIN = frozenset(
    "ad hoc|ad infinitum|ad libitum|a posteriori|a priori|actus reus|amicus curiae|bona fide|"
    "carpe diem|caveat emptor|cogito ergo sum|corpus delicti|de facto|de jure|de novo|et al|"
    "ex ante|ex post|ex post facto|ex situ|ex vivo|habeas corpus|in absentia|in camera|"
    "in flagrante delicto|in loco parentis|in personam|in rem|in silico|in situ|in utero|in vitro|"
    "in vivo|inter alia|ipso facto|lex loci|mens rea|modus operandi|modus ponens|modus tollens|"
    "nolo contendere|obiter dictum|pacta sunt servanda|per se|post hoc|post mortem|prima facie|"
    "pro bono|pro rata|quid pro quo|reductio ad absurdum|res ipsa loquitur|res judicata|"
    "stare decisis|status quo|sua sponte|sui generis|tabula rasa|terra nullius|uti possidetis|"
    "ultra vires|voir dire".split("|")
)
_SPECIES = re.compile(
    r"(?:[A-Z]\.|[A-Z][a-z]+(?:us|a|is|um|o|es|as|ia|ax|yx|ix|on|ops))(?:\s(?:"
    r"[a-z]{3,}(?:ensis|icus|icum|orum|arum|iae|oides|iformis|ifolia|escens)|[a-z]{4,}ii|"
    r"aegypti|aeruginosa|africanus|albicans|anthracis|aureus|botulinum|burgdorferi|catus|"
    r"cerevisiae|cholerae|coli|difficile|domestica|elegans|enterica|epidermidis|erectus|faecalis|"
    r"falciparum|familiaris|floresiensis|fumigatus|gambiae|gonorrhoeae|habilis|influenzae|laevis|"
    r"leprae|lupus|melanogaster|meningitidis|monocytogenes|musculus|neoformans|officinalis|"
    r"pallidum|perfringens|pestis|pneumoniae|pylori|rerio|rex|robur|sapiens|sativa|sativum|"
    r"subtilis|taurus|tetani|thaliana|tigris|troglodytes|tuberculosis|typhi|vivax|vulgaris))+\Z"
)
_WORDS = re.compile(r"\w+")
_WORDS_AT_MOST = 4  # of a name, its particles aside
_LETTERS = re.compile(f"{LETTER}+")
_SPELT = frozenset(  # what signs and digits may stand for
    "and or per to by of a an the is point minus plus times over squared cubed square cubic sq "
    "degree degrees celsius fahrenheit kelvin centigrade percent cent unit units "
    "metre metres meter meters kilometre kilometres kilometer kilometers centimetre centimetres "
    "centimeter centimeters millimetre millimetres millimeter millimeters mile miles foot feet "
    "inch inches yard yards gram grams kilogram kilograms milligram milligrams ounce ounces pound "
    "pounds litre litres liter liters millilitre millilitres milliliter milliliters hour hours "
    "second seconds minute minutes volt volts watt watts kilowatt kilowatts joule joules newton "
    "newtons pascal pascals hertz megahertz amp amps ampere amperes ohm ohms mole moles calorie "
    "calories kilocalories".split()
) | frozenset([*CARDINAL, *ORDINAL, *PARTED, *SCALE])


def name_like(text: str) -> bool:
    """Names, acronyms, units, functions, formulas: what a good translation may leave as it is.

    >>> name_like("iPhone 15"), name_like("60 mph"), name_like("TCP/IP"), name_like("The big one")
    (True, True, True, False)
    >>> name_like("None"), name_like("The Beatles"), name_like("E = mc^2"), name_like("cat")
    (False, True, True, False)
    >>> name_like("(zy – 2x)/z"), name_like("ab"), name_like("his/her"), name_like("E. coli")
    (True, True, False, True)
    >>> name_like("Vincent van Gogh"), name_like("None of These"), name_like("in vitro")
    (True, False, True)
    >>> name_like("5 km²"), name_like("ħω/2"), name_like("α-helix")
    (True, True, False)
    """
    bare = letters_outside(text).strip()
    if bare.rstrip(".").lower() in _LATIN or _SPECIES.match(bare):
        return True
    words = SYMBOLS.sub(" ", bare.replace("_", " "))
    parts = [part for part in _WORDS.findall(words) if part not in UNITS]
    if parts and all(len(part) > 1 and part.lower() in _NO_NAMES for part in parts):
        return False
    small = [part for part in parts if part in _PARTICLES]
    if small and len(small) < len(parts):
        parts = [part for part in parts if part not in _PARTICLES]
        if any(part.lower() in _COUNTING for part in parts):
            return False
    if formula := _FORMULA.search(bare):
        parts = [part for part in parts if len(part) > 2 or part in ("if", "or")]
    long = len(bare.split()) > _WORDS_AT_MOST + len(small) and any(len(p) > 3 for p in parts)
    return all(map(_own_form, parts)) and not (long and not formula)


def _own_form(part: str) -> bool:
    """Is a word a name, an acronym, a number or a symbol?"""
    if _NAME.match(part) or part[0].isupper():
        return True
    return _SYMBOL.match(part) is not None and all(
        len(run) <= 3 and run not in _SHORT_WORDS for run in _LETTER_RUNS.findall(part)
    )


def written_short(source: str, target: str) -> bool:
    """Was a text written in signs, digits and units, and nothing else of it changed?

    Both without their protected parts.

    >>> written_short("60 km per hour", "60km/h"), written_short("I, II and III", "I, II, III")
    (True, True)
    >>> written_short("three and a half", "3.5"), written_short("The Beatles", "Beatles")
    (True, False)
    """
    old = {word.lower() for word in _LETTERS.findall(source)}
    new = {word.lower() for word in _LETTERS.findall(target)}
    gone = old - new
    return (
        len(target) < len(source)
        and bool(gone - {"the", "a", "an", "of"})
        and gone <= _SPELT | UNITS
        and not (new & _SPELT) - UNITS - {"a"}
        and all(word in old or word in UNITS or len(word) == 1 for word in new)
    )
