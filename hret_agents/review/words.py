"""What each check means, in Korean: the sentences of `hret_agents.checks.says`."""

from __future__ import annotations

SAYS_KO: dict[str, str] = {
    "empty": "번역에 읽을 것이 없습니다. 글을 번역하십시오.",
    "placeholder_multiset": "코드, 수식, 주소, 자리표시가 없어지거나 바뀌거나 생겼습니다. "
    "그대로 옮기십시오.",
    "blank_count": "빈칸의 개수가 다릅니다. 빈칸을 모두 두고 채우지 마십시오.",
    "target_script": "대상 언어로 쓴 글이 아닙니다. 모두 번역하십시오.",
    "repetition": "같은 말이 되풀이됩니다. 원문만큼만 쓰십시오.",
    "length_hard": "번역이라고 볼 수 없는 길이입니다. 빼거나 더하지 말고 번역하십시오.",
    "code_ast_equal": "프로그램이 달라졌습니다. docstring과 주석만 번역하십시오.",
    "json_ids": "모델의 응답에 행이 없거나 두 번 있습니다.",
    "finish_reason": "행이 온전해지기 전에 모델의 응답이 잘렸습니다.",
    "list_len": "행이나 리스트가 다른 개수의 글로 돌아왔습니다.",
    "option_distinct": "두 선택지가 같아졌습니다. 서로 다르게 쓰십시오.",
    "gold_equal": "정답이 더는 그 선택지의 번역이 아닙니다.",
    "gold_numeric_equal": "숫자 정답이 원본과 다르거나 없어졌습니다.",
    "span_realigned": "정답이 본문에서 시작 위치로 적힌 곳에 없습니다.",
    "immutable_leaf": "그대로 두는 값의 내용이나 타입이 다릅니다.",
    "row_count": "통과한 행과 실패한 행의 합이 원본의 행 수와 다릅니다.",
    "row_order": "행의 순서가 원본과 다릅니다.",
    "features_equal": "열이 없거나, 더 있거나, 타입이 다릅니다.",
    "numbers": "원문의 수와 다릅니다. 둘을 비교하십시오.",
    "unchanged": "이름, 수식, 인용문이 그대로 남았습니다. 그래도 되는지 보십시오.",
    "length_soft": "번역으로는 드물게 짧거나 깁니다. 빠지거나 더해진 것이 있는지 보십시오.",
    "register": "문장의 끝맺음이 섞였거나 계획의 문체가 아닙니다. 하나로 맞추십시오.",
    "josa_artifact": "은(는)처럼 조사를 정하지 않았습니다. 맞는 것을 고르십시오.",
    "josa_leak": "빈칸 뒤의 조사가 정답을 알려 줍니다. 다르게 쓰십시오.",
    "answer_leak": "번역된 질문에 정답이 들어 있습니다. 다르게 쓰십시오.",
    "refusal": "모델의 거절이나 덧붙인 말로 읽힙니다. 다시 번역하십시오.",
    "glossary": "용어집의 용어가 다르게 번역되었습니다. 용어집대로 쓰십시오.",
    "source_anomaly": "원본 자체가 잘못된 행입니다. 남겨 둘지 보십시오.",
}
