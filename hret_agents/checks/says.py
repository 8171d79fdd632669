"""Every check in one table: what its finding means and what to do, as docs/checks.md has it."""

from __future__ import annotations

from hret_agents.checks.base import Check, Scope, Severity


def _table(severity: Severity, scope: Scope, *rows: tuple[str, str]) -> dict[str, Check]:
    return {name: Check(name, severity, scope, says) for name, says in rows}


CHECKS: dict[str, Check] = {
    **_table(
        "gate",
        "text",
        ("empty", "The translation holds nothing to read: translate the text."),
        (
            "placeholder_multiset",
            "Code, a formula, an address or a placeholder was lost, changed or added: copy it.",
        ),
        ("blank_count", "The number of blanks differs: keep each blank, filled by nothing."),
        ("target_script", "The text is not in the target language: translate all of it."),
        ("repetition", "The translation loops: say each thing as often as the source does."),
        ("length_hard", "No translation is so short or so long: translate it, add nothing."),
        (
            "code_ast_equal",
            "The program is another one now: translate docstrings and comments only.",
        ),
    ),
    **_table(
        "gate",
        "reply",
        ("json_ids", "A row is missing from the model's reply, or stands in it twice."),
        ("finish_reason", "The model's reply was cut before the row was whole."),
        ("list_len", "A row or a list came back with another number of texts."),
    ),
    **_table(
        "gate",
        "row",
        ("option_distinct", "Two choices became one: word them apart."),
        ("gold_equal", "The answer is not the translation of its choice any more."),
        ("gold_numeric_equal", "The numeric answer differs from the source's, or was lost."),
        ("span_realigned", "The answer does not stand in the context where its start says."),
        ("immutable_leaf", "A leaf that is kept as it is differs in value or type."),
    ),
    **_table(
        "gate",
        "split",
        ("row_count", "Rows passed and rows failed do not add up to the source's rows."),
        ("row_order", "The rows are not in the source's order."),
        ("features_equal", "A column is missing, added, or of another type."),
    ),
    **_table(
        "flag",
        "text",
        ("numbers", "The numbers are not those of the source: compare the two."),
        ("unchanged", "A name, formula or quotation was left as it is: see whether that is right."),
        (
            "length_soft",
            "Few translations are so short or so long: see what was left out or added.",
        ),
        ("register", "Sentence endings mix registers, or are not in the plan's: choose one."),
        ("josa_artifact", "A particle was left open, as in 은(는): choose the form that fits."),
    ),
    **_table(
        "flag",
        "row",
        ("josa_leak", "The particle after the blank tells which choice is right: reword it."),
        ("answer_leak", "The translated question holds the right answer: reword it."),
    ),
    **_table(
        "flag",
        "text",
        ("refusal", "This reads like a model's refusal or comment: translate the text again."),
        ("glossary", "A glossary term was translated in another way: use the glossary's."),
    ),
    **_table(
        "flag",
        "row",
        ("source_anomaly", "The source itself is wrong here: see whether to keep the row."),
    ),
}
