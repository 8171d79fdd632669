"""Korean names for the columns that benchmarks have; anything else keeps its name."""

from __future__ import annotations

from collections.abc import Sequence

KOREAN = {
    "question": "질문",
    "query": "질의",
    "problem": "문제",
    "goal": "목표",
    "choices": "선택지",
    "options": "선택지",
    "candidates": "후보",
    "endings": "결말",
    "answer": "정답",
    "answers": "정답",
    "answerkey": "정답",
    "answer_key": "정답",
    "correct": "정답",
    "correct_answer": "정답",
    "gold": "정답",
    "answer_idx": "정답번호",
    "answer_index": "정답번호",
    "label": "레이블",
    "gold_label": "레이블",
    "context": "맥락",
    "passage": "지문",
    "article": "기사",
    "story": "이야기",
    "document": "문서",
    "premise": "전제",
    "hypothesis": "가설",
    "sentence": "문장",
    "sentence1": "문장1",
    "sentence2": "문장2",
    "text": "본문",
    "title": "제목",
    "summary": "요약",
    "rationale": "풀이",
    "solution": "풀이",
    "explanation": "해설",
    "hint": "힌트",
    "instruction": "지시",
    "input": "입력",
    "output": "출력",
    "response": "응답",
    "subject": "과목",
    "category": "분류",
    "topic": "주제",
    "level": "난이도",
    "difficulty": "난이도",
    "type": "유형",
    "question_stem": "질문",
    "final_answer": "정답",
    "claim": "주장",
    "evidence": "근거",
    "body": "본문",
    "paragraph": "문단",
    "abstract": "초록",
    "headline": "제목",
    "highlights": "요약",
    "review": "리뷰",
    "conclusion": "결론",
    "background": "배경",
}
DICTIONARIES = {"ko": KOREAN}


def column_names(columns: Sequence[str], lang: str) -> dict[str, str]:
    """New names by old, for the columns that get one. A name that would occur twice is not given.

    >>> column_names(["id", "Question", "answer", "correct"], "ko")
    {'Question': '질문'}
    """
    known = DICTIONARIES.get(lang, {})
    new = {c: known[c.lower()] for c in columns if c.lower() in known}
    all_names = [new.get(c, c) for c in columns]
    return {c: n for c, n in new.items() if all_names.count(n) == 1}
