"""Numbers: what reads alike, what differs."""

from __future__ import annotations

import re
import time

import pytest

from hret_agents.checks.base import Rules
from hret_agents.checks.numbers import numbers

KO = Rules(lang="ko")
ALIKE = [
    (
        "Ada sold 48 pies in April, and half as many in May.",
        "에이다는 4월에 파이 48개를, 5월에는 그 절반을 팔았다.",
    ),
    ("He earns $12 an hour for 50 minutes.", "그는 50분 동안 시간당 12달러를 번다."),
    (
        "She read 12 of 120 pages, then twice as many.",
        "그녀는 120쪽 중 12쪽을 읽고, 다시 그 2배를 읽었다.",
    ),
    ("It took half an hour.", "30분이 걸렸습니다."),
    ("It took 1/2 an hour.", "30분이 걸렸습니다."),
    ("It took three quarters of an hour.", "45분이 걸렸습니다."),
    ("He rolled two sixes.", "6이 두 번 나왔다."),
    ("500 mg PO BID", "500mg을 1일 2회 먹는다"),
    ("It took 12 months, then 18 months.", "1년, 그다음에는 1년 6개월이 걸렸다."),
    ("90 minutes", "1시간 30분"),
    ("at 1800 hours and 1830 hours", "18시와 18시 30분에"),
    ("It took 1800 hours.", "1800시간이 걸렸다."),
    ("1 year", "일 년"),
    ("24/7 support", "연중무휴 24시간 지원"),
    ("three quarters and 4 dimes", "25센트 동전 세 개와 10센트 동전 4개"),
    ("It took an hour and a half.", "1시간 30분이 걸렸습니다."),
    ("He worked for two and a half hours.", "그는 2시간 30분 동안 일했습니다."),
    ("He worked for 2.5 hours.", "그는 2시간 반 동안 일했습니다."),
    ("The pizza costs $1.50 per slice.", "피자는 한 조각에 1달러 50센트입니다."),
    ("World War II ended in 1945.", "제2차 세계 대전은 1945년에 끝났습니다."),
    ("Louis XIV ruled France for 72 years.", "루이 14세는 프랑스를 72년간 다스렸습니다."),
    ("CO2 levels rose by 3%.", "이산화탄소 농도가 3% 올랐습니다."),
    ("She was born in the 1800s.", "그녀는 19세기에 태어났습니다."),
    ("The war lasted 1914-18.", "전쟁은 1914년부터 1918년까지 이어졌습니다."),
    ("The war lasted from 1914 to 1918.", "전쟁은 1914~1918년에 벌어졌습니다."),
    ("3-4 million people live there.", "그곳에는 300만~400만 명이 삽니다."),
    ("3 to 4 million people live there.", "그곳에는 300만 명에서 400만 명이 삽니다."),
    (
        "I have a dime, 2 nickels and a quarter.",
        "나는 10센트 동전 하나, 5센트 동전 2개, 25센트 동전 하나를 가지고 있다.",
    ),
    ("He waited 24 hours.", "그는 하루를 기다렸다."),
    ("He waited 2 days and 10 days.", "그는 이틀과 열흘을 기다렸다."),
    ("The shop is open between 2 and 4 p.m.", "가게는 오후 2시에서 4시 사이에 엽니다."),
    ("The shop is open from 9 a.m. to 5 p.m.", "가게는 오전 9시부터 오후 5시까지 엽니다."),
    ("Half past two", "2시 30분"),
    ("At noon, 30 people came.", "정오에 30명이 왔습니다."),
    ("at 12 noon", "낮 12시에"),
    ("She is in her thirties.", "그녀는 30대입니다."),
    ("Nineteen eighty-four is a novel.", "1984는 소설입니다."),
    ("one hundred and twenty-three", "123"),
    ("two hundred fifty thousand people", "25만 명"),
    ("A million and a half people", "150만 명"),
    ("half a million people", "50만 명"),
    ("One and a half million people", "150만 명"),
    ("It has 50,000 spectators.", "관중이 5만 명이다."),
    ("He got only 5 points and 7 more.", "그는 5점만 얻고 7점을 더 얻었다."),
    ("He has 15 only.", "그는 15만 있다."),
    ("Add 5 to it.", "거기에 5만큼 더하십시오."),
    ("Article 3 of the Act", "그 법 제3조"),
    ("Section 3, paragraph 2", "제3조 제2항"),
    ("Group 3 has 10 members", "3조는 10명이다"),
    ("The budget is 3 trillion won.", "예산은 3조 원이다."),
    ("The budget is 3.5 trillion won.", "예산은 3조 5,000억 원이다."),
    ("3 games were lost.", "3경기를 졌다."),
    ("Season 2 has 10 episodes.", "시즌 2는 10편이다. "),
    ("50% of them", "그들의 절반"),
    ("John 3:16", "요한복음 3장 16절"),
    ("The ratio is 2:30", "비는 2 대 30"),
    ("On 9/11 many died.", "9·11 테러로 많은 사람이 죽었다."),
    ("Three out of 10 people", "10명 중 3명"),
    ("The first half of the game ended 1-1", "전반전은 1 대 1로 끝났다"),
    ("Divide 36 by 2", "36을 2로 나누라"),
    ("36/2 = 18", "36÷2=18"),
    ("In the '80s he was famous.", "1980년대에 그는 유명했다."),
    ("Chapter IV", "4장"),
    ("about 2,000 years ago", "약 2천 년 전"),
    ("10,000 people", "1만 명"),
    ("10,000 people", "만 명"),
    ("1,000 won", "천 원"),
    ("1,500 won", "천오백 원"),
    ("20 children", "스무 명의 아이"),
    ("21 children", "아이 스물한 명"),
    ("7 days", "일주일"),
    ("They are 3 years old", "세 살이다"),
    ("3 months", "석 달"),
    ("4 copies", "넉 장"),
    ("10 o'clock", "열 시"),
    ("At 10:30", "열 시 반에"),
    ("at ten thirty", "10시 30분에"),
    ("The 2nd and 3rd floors", "2층과 3층"),
    ("He is 6 feet 2 inches tall", "키는 6피트 2인치"),
    ("It fell to -5 degrees", "영하 5도로 떨어졌다"),
    ("The 100-meter race", "100미터 경주"),
    ("100 percent", "백 퍼센트"),
    ("0.5", "0.5"),
    (".5", "0.5"),
    ("Q3 revenue was $5M", "3분기 매출은 500만 달러"),
    ("a 10K race", "10킬로미터 경주"),
    ("10k users", "1만 사용자"),
    ("He bought 1 1/2 pounds", "그는 1½파운드를 샀다"),
    ("The score was 3-2.", "점수는 3 대 2였다"),
    ("U.S. troops: 3,000", "미군 3천 명"),
    ("every 15 minutes", "15분마다"),
    ("every hour", "1시간마다"),
    ("A square has four sides.", "정사각형은 변이 4개다."),
    ("She gave one to each of her three sons", "세 아들에게 하나씩 주었다"),
    ("Two people met; both left.", "두 사람이 만났고 둘 다 떠났다."),
    ("Ten of the twelve jurors", "배심원 열두 명 중 열 명"),
    ("I bought 3 of them on May 5th", "5월 5일에 3개를 샀다"),
    ("the year 2000", "2000년"),
    ("a thousand years", "천 년"),
    ("Five thousand", "5천"),
    ("thirty-five hundred", "3500"),
    ("four-fifths of the class", "학급의 5분의 4"),
    ("two fifths", "2/5"),
    ("ten to twelve years", "10~12년"),
    ("two or three hundred men", "200~300명"),
    ("She ate 1/3 of 12 cookies", "쿠키 12개의 3분의 1을 먹었다"),
    ("1/4 cup", "4분의 1컵"),
    ("¾ cup", "3/4컵"),
    ("Her 3 children are 2, 4, and 6.", "세 자녀는 2살, 4살, 6살이다."),
    ("the 21st century", "21세기"),
    ("It is 5 past 3", "3시 5분이다"),
    ("quarter to five", "4시 45분"),
    ("in 3 hours and 20 minutes", "3시간 20분 뒤에"),
    ("the 8 p.m. show", "저녁 8시 공연"),
    ("3 a.m.", "새벽 3시"),
    ("12 a.m.", "밤 12시"),
    ("11 p.m.", "밤 11시"),
    ("two o'clock in the afternoon", "오후 2시"),
    ("at 2 in the afternoon", "오후 2시에"),
    ("at three in the morning", "새벽 3시에"),
    ("The two men left", "두 남자가 떠났다"),
    ("I, II and III", "1, 2, 3"),
    ("1st, 2nd and 3rd", "첫째, 둘째, 셋째"),
    ("first, second and third", "1번째, 2번째, 3번째"),
    ("A decade ago", "10년 전"),
    ("two decades", "20년"),
    ("half a century", "50년"),
    ("three dozen", "36개"),
    ("two couples", "부부 두 쌍"),
    ("Monday through Friday, 5 days a week", "월요일부터 금요일까지 주 5일"),
]
DIFFERENT = [
    ("Three birds", "새 네 마리"),
    ("thirty men", "사십 명"),
    ("Only 15 left", "50만 남았다"),
    ("80,000 won", "8천 원"),
    ("$5", "6달러"),
    ("at 2 p.m.", "오전 2시에"),
    ("two in the afternoon", "오전 2시"),
    ("two dozen", "20개"),
    ("half a dozen", "12개"),
    ("twelve men", "13명"),
    ("five thousand", "5만"),
    ("20 children", "서른 명의 아이"),
    ("7 days", "이틀"),
    ("the third", "네 번째"),
    ("the 3rd", "네 번째"),
    ("fifth of May 1990", "1990년 6월 5일"),
    ("two-thirds", "4분의 3"),
    ("1.5 million", "15만"),
    ("3/4", "3/5"),
    ("a third", "4분의 1"),
    ("21 children", "아이 스물두 명"),
    ("12:30", "11:30"),
    ("12:30 a.m.", "오후 12시 30분"),
    ("noon", "오전 11시"),
    ("twice", "3배"),
    ("one hundred twenty", "12"),
    ("10-15 minutes", "10~50분"),
    ("The war ended in 1945.", "전쟁이 끝났다."),
    ("2 1/2 cups", "3컵 반"),
    ("thirteen", "30명"),
    ("nineteen eighty-four", "1994"),
    ("100,000", "1만"),
    ("3 trillion won", "3억 원"),
    ("March 12", "5월 12일"),
    ("5%", "50%"),
    ("the 20th century", "21세기"),
    ("Four of six", "여섯 중 다섯 개"),
]
HOSTILE = [
    "1",
    "9,",
    "1:00 ",
    "1/2 ",
    "1-",
    "$1",
    "one ",
    "a half ",
    "half past ten ",
    "IX ",
    "한 ",
    "1만",
]


@pytest.mark.parametrize(("source", "target"), ALIKE)
def test_numbers_that_read_alike_pass(source: str, target: str) -> None:
    assert numbers(source, target, KO) == ""


@pytest.mark.parametrize(("source", "target"), DIFFERENT)
def test_numbers_that_differ_are_named(source: str, target: str) -> None:
    assert numbers(source, target, KO).startswith("the numbers differ: ")


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("He has 12 pens.", "그는 펜이 21자루 있다.", "12 is missing, 21 was added"),
        ("12 pens, 5 cups", "펜과 컵", "12, 5 are missing"),
        ("pens", "펜 3자루", "3 was added"),
        ("at 2 p.m.", "오전 2시에", "14:00 is missing, 2:00 was added"),
        ("3 dozen eggs", "달걀 3개", "36 is missing, 3 was added"),
        ("2 dozen or 3 dozen", "2개나 3개", "24, 36 are missing, 2, 3 were added"),
        ("1.5 million people", "1.5명", "1,500,000 is missing, 1.5 was added"),
        ("three pens", "펜 네 자루", "three is missing, 네 자루 was added"),
    ],
)
def test_the_message_says_which_numbers(source: str, target: str, said: str) -> None:
    assert numbers(source, target, KO) == f"the numbers differ: {said}"


@pytest.mark.parametrize(("source", "target"), DIFFERENT)
def test_no_number_is_both_missing_and_added(source: str, target: str) -> None:
    lost, _, added = numbers(source, target, KO).partition(" missing, ")
    assert not set(re.findall(r"[\d:,./]*\d", lost)) & set(re.findall(r"[\d:,./]*\d", added))


def test_a_number_of_the_source_must_stand_as_often() -> None:
    assert numbers("5 cats and 5 dogs", "고양이 5마리와 개", KO)
    assert not numbers("5 cats and 5 dogs", "고양이 5마리와 개 5마리", KO)
    assert not numbers("5 cats and dogs", "고양이 5마리와 개 5마리", KO)


def test_protected_parts_are_not_read() -> None:
    assert not numbers("Solve $x^2 = 4$ with `f(3)`.", "$x^2 = 4$를 `f(3)`으로 푸시오.", KO)


def test_korean_to_english_is_read_too() -> None:
    rules = Rules(lang="en", source_lang="ko")
    assert not numbers("인구는 1억 2,000만 명이다.", "The population is 120 million.", rules)
    assert numbers("인구는 1억 2,000만 명이다.", "The population is 12 million.", rules)


def test_languages_that_are_not_read_compare_digits() -> None:
    german = Rules(lang="de")
    assert not numbers("It costs 1,250.50 euros.", "Es kostet 1.250,50 Euro.", german)
    assert not numbers("three cats", "3 Katzen", german)
    assert numbers("It ended in 1945.", "Es endete 1954.", german)
    assert numbers("5 cats", "6 Katzen", german)


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_text_takes_no_time(piece: str) -> None:
    text = (piece * 100_000)[:100_000]
    for source, target in ((text, text), ("Two birds, 5 cats.", text), (text, "새 두 마리와 5")):
        begin = time.process_time()
        numbers(source, target, KO)
        assert time.process_time() - begin < 1.0  # 0.2 s where nothing else runs
