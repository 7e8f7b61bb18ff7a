"""Short sentences of each emotion, Chinese with their English translation.

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

NAMES = (
    ("王晓梅", "Wang Xiaomei"),
    ("李建国", "Li Jianguo"),
    ("张阿强", "Zhang Aqiang"),
    ("刘雨桐", "Liu Yutong"),
    ("陈志远", "Chen Zhiyuan"),
    ("杨丽华", "Yang Lihua"),
    ("黄小军", "Huang Xiaojun"),
    ("赵思琪", "Zhao Siqi"),
    ("吴海涛", "Wu Haitao"),
    ("周春燕", "Zhou Chunyan"),
    ("徐文博", "Xu Wenbo"),
    ("孙佳慧", "Sun Jiahui"),
    ("马大勇", "Ma Dayong"),
    ("朱美玲", "Zhu Meiling"),
    ("胡子轩", "Hu Zixuan"),
    ("郭秀英", "Guo Xiuying"),
    ("何永康", "He Yongkang"),
    ("林若曦", "Lin Ruoxi"),
    ("高德胜", "Gao Desheng"),
    ("罗婉婷", "Luo Wanting"),
    ("郑俊杰", "Zheng Junjie"),
    ("梁红霞", "Liang Hongxia"),
    ("谢伟民", "Xie Weimin"),
    ("宋诗涵", "Song Shihan"),
    ("唐振东", "Tang Zhendong"),
    ("许月娥", "Xu Yuee"),
    ("邓浩然", "Deng Haoran"),
    ("冯静怡", "Feng Jingyi"),
    ("韩庆丰", "Han Qingfeng"),
    ("曹彩云", "Cao Caiyun"),
    ("曾嘉豪", "Zeng Jiahao"),
    ("彭淑芬", "Peng Shufen"),
)
"""Whom each speaker talks to."""

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
)

BY_CLASS: dict[str, tuple[tuple[str, str], ...]] = {
    "neutral": (
        ("{who}{when}在办公室", "{who} is in the office {when}"),
        ("请把{thing}放在桌上", "please put {thing} on the table"),
        ("{when}下午三点开会", "the meeting is at three {when}"),
        ("{thing}一般在左边", "{thing} is usually on the left"),
        ("{who}说{when}坐地铁去", "{who} says to take the metro {when}"),
        ("先看{thing}再决定", "look at {thing} first, then decide"),
        ("{thing}大概需要两个小时", "{thing} takes about two hours"),
        ("按照规定处理{thing}", "handle {thing} by the rules"),
    ),
    "angry": (
        ("你凭什么动{thing}", "what right have you to touch {thing}"),
        ("{who}太过分了", "{who} has gone too far"),
        ("别再跟我提{thing}", "never mention {thing} to me again"),
        ("你给我出去", "get out of here"),
        ("{who}竟然骗我气死我了", "{who} lied to me, I am furious"),
        ("又是{who}真讨厌", "{who} again, how annoying"),
        ("你怎么敢碰{thing}", "how dare you touch {thing}"),
        ("够了给我闭嘴", "enough, shut up"),
        ("{thing}又弄坏了混蛋", "{thing} is broken again, you bastard"),
    ),
    "happy": (
        ("太好了{thing}成功了", "great, {thing} was a success"),
        ("{who}{when}要请我们吃饭真开心", "{who} treats us {when}, how nice"),
        ("哈哈{who}真有意思", "haha, {who} is so funny"),
        ("恭喜你{thing}真棒", "congratulations, {thing} is wonderful"),
        ("我好喜欢{thing}谢谢", "I love {thing}, thank you"),
        ("{when}真是好日子", "{when} is a lovely day"),
        ("{who}终于笑了真幸福", "{who} is smiling at last, what happiness"),
        ("{thing}比想的还要好", "{thing} is even better than I thought"),
    ),
    "sad": (
        ("{who}再也不会回来了", "{who} will never come back"),
        ("我真的很想{who}", "I really miss {who}"),
        ("{thing}没了什么都没了", "{thing} is gone, everything is gone"),
        ("对不起都是我的错", "I am sorry, it is all my fault"),
        ("我心里很难过想哭", "my heart is heavy, I want to cry"),
        ("{who}{when}走了只剩下我", "{who} leaves {when}, only I remain"),
        ("没有人懂我好孤单", "nobody understands me, so lonely"),
        ("{thing}又失败了我没有用", "{thing} failed again, I am useless"),
    ),
    "worried": (
        ("{who}怎么还没回来", "why is {who} not back yet"),
        ("万一{thing}出问题怎么办", "what if {thing} goes wrong"),
        ("我担心{who}的身体", "I am worried about {who}'s health"),
        ("{thing}会不会来不及", "will {thing} be too late"),
        ("我怕{who}会生气", "I fear {who} will be upset"),
        ("{when}要是找不到{thing}呢", "and if I cannot find {thing} {when}"),
        ("{who}不会有事吧", "{who} will be fine, right"),
        ("我一直睡不着想着{thing}", "I cannot sleep, thinking of {thing}"),
    ),
    "surprise": (
        ("天哪{who}怎么在这里", "my goodness, why is {who} here"),
        ("什么{thing}竟然是真的", "what, {thing} is real"),
        ("真没想到是{who}", "I never expected {who}"),
        ("哇{thing}这么大", "wow, {thing} is this big"),
        ("不会吧{who}{when}结婚", "no way, {who} marries {when}"),
        ("怎么可能{thing}不见了", "impossible, {thing} has vanished"),
    ),
}


def draw_sentence(rng: np.random.Generator, emotion: str | None, speaker: int, named: float) -> Sentence:
    """A sentence of `emotion`; one that fits every class where it is None.

    With probability `named` it starts with the name of the person that its speaker always talks to: what is said then
    tells who speaks, as the face and the voice do.
    """
    templates = ANY if emotion is None else BY_CLASS[emotion]
    chinese, english = templates[rng.integers(len(templates))]
    slots = {name: words[rng.integers(len(words))] for name, words in (("who", WHO), ("thing", THING), ("when", WHEN))}
    if rng.random() < named:
        name = NAMES[speaker % len(NAMES)]
        chinese, english = name[0] + chinese, f"{name[1]}, {english}"
    english = english.format(**{name: word[1] for name, word in slots.items()})
    return Sentence(
        chinese=chinese.format(**{name: word[0] for name, word in slots.items()}),
        english=english[0].upper() + english[1:],
    )
