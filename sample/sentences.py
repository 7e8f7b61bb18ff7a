"""Short sentences of each form of an emotion, Chinese with their English translation.

Sentences are templates with slots, so that a text encoder meets new combinations in every split. A few words
(“又”, “竟然”, “怎么”, ...) occur in several classes on purpose, and the `ANY` sentences fit every class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sentence:
    chinese: str
    english: str


WHO = (
    ("妈妈", "Mom"),
    ("爸爸", "Dad"),
    ("老板", "the boss"),
    ("小王", "Wang"),
    ("姐姐", "my sister"),
    ("老师", "the teacher"),
    ("他们", "those people"),
    ("医生", "the doctor"),
)
THING = (
    ("这件事", "this matter"),
    ("那封信", "that letter"),
    ("考试", "the exam"),
    ("结果", "the result"),
    ("合同", "the contract"),
    ("车票", "the ticket"),
    ("手机", "the phone"),
    ("房子", "the house"),
)
WHEN = (
    ("今天", "today"),
    ("昨天", "yesterday"),
    ("刚才", "just now"),
    ("明天", "tomorrow"),
    ("晚上", "tonight"),
    ("现在", "now"),
)

ANY = (
    ("我知道了", "I know"),
    ("{who}来了", "{who} is here"),
    ("你再说一遍", "say that again"),
    ("就是这样", "that is how it is"),
    ("{when}说的就是{thing}", "it was about {thing} {when}"),
    ("{who}{when}给我打了电话", "{who} calls me {when}"),
    ("我看见{thing}了", "I saw {thing}"),
    ("你等一下{who}", "you wait for {who}"),
    ("好吧我们走", "all right, let us go"),
    ("原来是{who}", "so it is {who}"),
    ("{who}说过{thing}", "{who} mentioned {thing}"),
    ("{thing}在{who}那里", "{thing} is with {who}"),
    ("你还记得{who}吗", "do you remember {who}"),
    ("{when}轮到{who}了", "it is the turn of {who} {when}"),
    ("我刚从{who}那儿过来", "I have just come from {who}"),
    ("{thing}的事以后再谈", "let us talk about {thing} later"),
)

BY_FORM: dict[str, tuple[tuple[str, str], ...]] = {
    "neutral": (
        ("{who}{when}在办公室", "{who} is in the office {when}"),
        ("请把{thing}放在桌上", "please put {thing} on the table"),
        ("{when}下午三点开会", "the meeting is at three {when}"),
        ("{thing}一般在左边", "{thing} is usually on the left"),
        ("{who}说{when}坐地铁去", "{who} says to take the metro {when}"),
        ("先看{thing}再决定", "look at {thing} first, then decide"),
        ("{thing}大概需要两个小时", "{thing} takes about two hours"),
        ("按照规定处理{thing}", "handle {thing} by the rules"),
        ("{thing}一共有三份", "there are three copies of {thing}"),
        ("{who}住在学校对面", "{who} lives opposite the school"),
        ("麻烦在{thing}上签字", "please sign {thing}"),
        ("超市{when}九点开门", "the supermarket opens at nine {when}"),
        ("{who}负责安排{thing}", "{who} is in charge of {thing}"),
        ("这趟车经过火车站", "this bus passes the railway station"),
        ("{thing}的号码是十七", "the number of {thing} is seventeen"),
        ("我把{thing}交给前台", "I hand {thing} to the front desk"),
    ),
    "hot anger": (
        ("{who}太过分了", "{who} has gone too far"),
        ("你给我出去", "get out of here"),
        ("{who}竟然骗我气死我了", "{who} lied to me, I am furious"),
        ("你怎么敢碰{thing}", "how dare you touch {thing}"),
        ("够了给我闭嘴", "enough, shut up"),
        ("{thing}又弄坏了混蛋", "{thing} is broken again, you bastard"),
        ("滚我不想看见{who}", "get lost, I do not want to see {who}"),
        ("你疯了吗把{thing}还我", "are you mad, give {thing} back"),
    ),
    "cold anger": (
        ("你凭什么动{thing}", "what right have you to touch {thing}"),
        ("别再跟我提{thing}", "never mention {thing} to me again"),
        ("又是{who}真讨厌", "{who} again, how annoying"),
        ("{who}最好给我解释清楚", "{who} had better explain this to me"),
        ("我们走着瞧吧", "we shall see about that"),
        ("你心里明白自己干了什么", "you know very well what you did"),
        ("{thing}的账我会跟{who}算", "I will settle the score over {thing} with {who}"),
        ("少拿{who}来压我", "do not threaten me with {who}"),
    ),
    "elation": (
        ("太好了{thing}成功了", "great, {thing} was a success"),
        ("哈哈{who}真有意思", "haha, {who} is so funny"),
        ("恭喜你{thing}真棒", "congratulations, {thing} is wonderful"),
        ("我们赢了快叫上{who}", "we won, quick, call {who}"),
        ("万岁{when}放假啦", "hooray, a holiday {when}"),
        ("{who}要结婚了干杯", "{who} is getting married, cheers"),
        ("我拿到{thing}啦耶", "I got {thing}, yeah"),
        ("乐死我了再讲一个", "I am dying of laughter, tell another one"),
    ),
    "contentment": (
        ("{who}{when}要请我们吃饭真开心", "{who} treats us {when}, how nice"),
        ("我好喜欢{thing}谢谢", "I love {thing}, thank you"),
        ("{when}真是好日子", "{when} is a lovely day"),
        ("{who}终于笑了真幸福", "{who} is smiling at last, what happiness"),
        ("{thing}比想的还要好", "{thing} is even better than I thought"),
        ("跟{who}在一起真舒服", "it is so pleasant to be with {who}"),
        ("晒着太阳喝茶多美", "tea in the sun, how lovely"),
        ("{who}做的饭还是那么香", "the food {who} makes is as good as ever"),
    ),
    "despair": (
        ("{who}再也不会回来了", "{who} will never come back"),
        ("{thing}没了什么都没了", "{thing} is gone, everything is gone"),
        ("{thing}又失败了我没有用", "{thing} failed again, I am useless"),
        ("我活着还有什么意思", "what is there left to live for"),
        ("求求你别丢下我", "I beg you, do not leave me"),
        ("全完了一切都毁了", "it is all over, all is ruined"),
        ("{who}为什么要离开我", "why must {who} leave me"),
        ("我受不了了撑不下去", "I cannot bear it, I cannot go on"),
    ),
    "grief": (
        ("我真的很想{who}", "I really miss {who}"),
        ("对不起都是我的错", "I am sorry, it is all my fault"),
        ("我心里很难过想哭", "my heart is heavy, I want to cry"),
        ("{who}{when}走了只剩下我", "{who} leaves {when}, only I remain"),
        ("没有人懂我好孤单", "nobody understands me, so lonely"),
        ("{thing}让我想起从前", "{thing} reminds me of the old days"),
        ("{who}的病好不了了", "{who} will not recover"),
        ("要是能再见{who}一面", "if I could only see {who} once more"),
    ),
    "panic": (
        ("不好了{thing}着火了", "help, {thing} is on fire"),
        ("快跑{who}追来了", "run, {who} is after us"),
        ("救命{who}晕倒了", "help, {who} has fainted"),
        ("{thing}丢了完蛋了怎么办", "{thing} is lost, we are done for, what now"),
        ("快快要迟到来不及了", "quick, quick, we are too late"),
        ("别过来我报警了", "stay away, I am calling the police"),
        ("糟糕{who}流血了", "oh no, {who} is bleeding"),
        ("门打不开谁来帮帮我", "the door will not open, somebody help me"),
    ),
    "unease": (
        ("{who}怎么还没回来", "why is {who} not back yet"),
        ("万一{thing}出问题怎么办", "what if {thing} goes wrong"),
        ("我担心{who}的身体", "I am worried about {who}'s health"),
        ("{thing}会不会来不及", "will {thing} be too late"),
        ("我怕{who}会生气", "I fear {who} will be upset"),
        ("{when}要是找不到{thing}呢", "and if I cannot find {thing} {when}"),
        ("{who}不会有事吧", "{who} will be fine, right"),
        ("我一直睡不着想着{thing}", "I cannot sleep, thinking of {thing}"),
    ),
    "delight": (
        ("真没想到是{who}", "I never expected {who}"),
        ("哇{thing}这么大", "wow, {thing} is this big"),
        ("不会吧{who}{when}结婚", "no way, {who} marries {when}"),
        ("这是给我的惊喜吗", "is this a surprise for me"),
        ("咦{who}居然会唱歌", "oh, {who} can actually sing"),
        ("哎呀{thing}中奖了", "my, {thing} has won a prize"),
    ),
    "shock": (
        ("天哪{who}怎么在这里", "my goodness, why is {who} here"),
        ("什么{thing}竟然是真的", "what, {thing} is real"),
        ("怎么可能{thing}不见了", "impossible, {thing} has vanished"),
        ("你说{who}被抓了", "you say {who} was arrested"),
        ("啊{thing}是假的", "ah, {thing} is a fake"),
        ("{who}当真这么说", "did {who} really say that"),
    ),
}


def draw_sentence(rng: np.random.Generator, form: str | None) -> Sentence:
    """A sentence that fits the form, or every class where it is None."""
    templates = ANY if form is None else BY_FORM[form]
    chinese, english = templates[rng.integers(len(templates))]
    slots = {name: words[rng.integers(len(words))] for name, words in (("who", WHO), ("thing", THING), ("when", WHEN))}
    english = english.format(**{name: word[1] for name, word in slots.items()})
    return Sentence(
        chinese=chinese.format(**{name: word[0] for name, word in slots.items()}),
        english=english[0].upper() + english[1:],
    )
