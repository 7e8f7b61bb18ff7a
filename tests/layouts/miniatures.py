"""A miniature of every corpus in the exact shape in which its owners ship it: relative path -> content."""

from __future__ import annotations

import json

Files = dict[str, str | bytes]

EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
A-E3:\tval 3; act 2; dom  2;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M000\texc\t[4.0000, 3.5000, 2.5000]
C-E2:\tExcited;\t()

[14.8872 - 18.0175]\tSes01F_impro01_M001\txxx\t[2.5000, 2.5000, 2.5000]
[19.2900 - 20.7875]\tSes01F_impro01_F001\tfru\t[2.0000, 3.0000, 3.0000]
[21.0000 - broken]\tSes01F_impro01_F002\tneu
"""
TRANSCRIPT = """Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.
Ses01F_impro01_M000 [010.0100-011.3925]: Do you have your forms?
M: [LAUGHTER]
Ses01F_impro01_F001 : Yeah.
"""


def iemocap(sessions: int = 2) -> Files:
    files: Files = {}
    for number in range(1, sessions + 1):
        top, dialog = f"Session{number}", f"Ses0{number}F_impro01"
        text = EVALUATION.replace("Ses01F", f"Ses0{number}F")
        files |= {
            f"{top}/dialog/EmoEvaluation/{dialog}.txt": text,
            f"{top}/dialog/EmoEvaluation/._{dialog}.txt": b"\x00\x05\x16\x07Mac OS X",
            f"{top}/dialog/EmoEvaluation/Categorical/{dialog}_e2_cat.txt": f"{dialog}_F000 :Neutral; ()\n",
            f"{top}/dialog/transcriptions/{dialog}.txt": TRANSCRIPT.replace("Ses01F", f"Ses0{number}F"),
            f"{top}/dialog/avi/DivX/{dialog}.avi": "",
            f"{top}/dialog/wav/{dialog}.wav": "",
        }
        for turn in ("F000", "M000", "M001", "F001"):
            files[f"{top}/sentences/wav/{dialog}/{dialog}_{turn}.wav"] = ""
    return files


SIMS = """video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode
video_0001,0001,我不想嫁给李茶,-0.6,-0.8,-0.4,-0.8,Negative,train
video_0001,0002,你好,0.0,0.0,0.2,0.0,Neutral,valid
video_0002,0001,太好了,0.8,0.6,0.8,1.0,Positive,test
video_0002,0002,好,0.4,0.4,0.4,0.4,Positive,train
"""


def ch_sims() -> Files:
    return {"label.csv": SIMS} | {f"Raw/{video}/{clip}.mp4": "" for video, clip in _pairs(SIMS)}


def ch_sims_v2() -> Files:
    labeled = "\ufeff" + SIMS.replace("video_0", "aqgy3_0").replace(",0001,", ",00000,").replace(",0002,", ",00001,")
    unlabeled = "video_id,clip_id,text,mode\naqgy9_0001,00000,什么,unlabeled\naqgy9_0001,00001,再见,unlabeled\n"
    return {
        "ch-simsv2s/meta.csv": labeled,
        "ch-simsv2u/meta.csv": unlabeled,
        **{f"ch-simsv2s/Raw/{video}/{clip}.mp4": "" for video, clip in _pairs(labeled)},
        **{f"ch-simsv2u/Raw/{video}/{clip}.mp4": "" for video, clip in _pairs(unlabeled)},
    }


MOSI = """video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode
03bSnISJMiM,1,A LOT OF SAD PARTS,-0.6,,,,Negative,train
03bSnISJMiM,11,THERE IS SAD STUFF,-1.0,,,,Negative,train
0h-zjBukYpk,1,IT IS FINE,0.0,,,,Neutral,valid
zhpQhgha_KU,2,I LOVED IT,2.4,,,,Positive,test
_dI--eQ6qVU,3,GREAT,1.8,,,,Positive,train
"""


def mosi() -> Files:
    return {"label.csv": MOSI} | {f"Raw/{video}/{clip}.mp4": "" for video, clip in _pairs(MOSI)}


def mosei() -> Files:
    table = MOSI.replace("label_T,label_A,label_V,annotation,mode", "annotation,mode,label_T,label_A,label_V")
    rows = [line.split(",") for line in table.splitlines()[1:]]
    table = table.splitlines()[0] + "\n" + "\n".join(",".join([*row[:4], row[7], row[8], "", "", ""]) for row in rows)
    return {"label.csv": table + "\n"} | {f"Raw/{video}/{clip}.mp4": "" for video, clip in _pairs(MOSI)}


def _pairs(table: str) -> list[tuple[str, str]]:
    rows = [line.split(",") for line in table.splitlines()[1:]]
    return [(row[0], row[1]) for row in rows]


STUB = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 100000\n"


def crema_d() -> Files:
    names = ("1001_DFA_ANG_XX", "1001_IEO_HAP_HI", "1002_IEO_SAD_LO", "1002_TIE_NEU_XX", "1040_ITH_SAD_X")
    files: Files = {f"AudioWAV/{name}.wav": "sound" for name in names}
    files |= {f"VideoFlash/{name}.flv": "video" for name in names[:4]}
    return files | {"README.md": "# CREMA-D", "AudioMP3/1001_DFA_ANG_XX.mp3": "sound"}


def ravdess() -> Files:
    names = ("01-01-06-01-02-01-12", "02-01-06-01-02-01-12", "01-01-01-01-01-01-01", "01-02-03-01-01-01-01")
    files: Files = {f"Video_Speech_Actor_{name[-2:]}/Actor_{name[-2:]}/{name}.mp4": "" for name in names}
    return files | {"Audio_Speech_Actors_01-24/Actor_12/03-01-06-01-02-01-12.wav": ""}


def mead() -> Files:
    files: Files = {}
    for speaker in ("M003", "W009"):
        for emotion, level, number in (("angry", 1, "001"), ("neutral", 1, "002"), ("surprised", 3, "001")):
            where = f"{emotion}/level_{level}/{number}"
            files |= {f"{speaker}/video/{view}/{where}.mp4": "" for view in ("front", "left_30", "top")}
            files[f"{speaker}/audio/{where}.m4a"] = ""
    del files["W009/audio/neutral/level_1/002.m4a"]
    return files


EMODB = ("03a01Fa", "03a01Nc", "03a01Wa", "08a02La", "08b01Ta", "16a07Ab", "16b10Ed")
EMODB_WORDS = {
    "F": "happy",
    "N": "neutral",
    "W": "anger",
    "L": "boredem",
    "T": "sad",
    "A": "fear",
    "E": "disgust",
}
"""EmoBox's own."""
EMODB_MAP = {
    "anger": "Angry",
    "boredem": "Boredom",
    "disgust": "Disgust",
    "fear": "Fear",
    "happy": "Happy",
    "Neutral": "Neutral",
    "sad": "Sad",
}


def emodb() -> Files:
    return {f"wav/{name}.wav": name for name in EMODB} | {"lablaut/03a01Fa.lablaut": "", "erkennung.txt": ""}


def emobox() -> Files:
    return {**emobox_lists(EMODB), **{f"downloads/emodb/wav/{name}.wav": name for name in EMODB}}


def emobox_lists(names: tuple[str, ...] | list[str], folds: int = 3) -> Files:
    """Lists of EmoDB; the speakers of `names` are dealt to the folds."""
    speakers = sorted({name[:2] for name in names})
    files: Files = {"data/emodb/label_map.json": json.dumps(EMODB_MAP)}
    for fold in range(1, folds + 1):
        for split in ("train", "test"):
            wanted = [name for name in names if (speakers.index(name[:2]) % folds + 1 == fold) == (split == "test")]
            files[f"data/emodb/fold_{fold}/emodb_{split}_fold_{fold}.jsonl"] = "".join(map(_entry, wanted))
    files["data/emodb/emodb.jsonl"] = "".join(map(_entry, names))
    return files


def _entry(name: str) -> str:
    entry = {
        "key": f"emodb-{name}",
        "dataset": "emodb",
        "wav": f"downloads/emodb/wav/{name}.wav",
        "type": "raw",
        "sample_rate": 16000,
        "num_frame": 33978.0,
        "task": "category",
        "length": 2.123625,
        "emo": EMODB_WORDS[name[5]],
        "channel": 1,
    }
    return json.dumps(entry) + "\n"


def folder() -> Files:
    text = "clip_id,label,group\na,joy,1\nb,anger,2\nc,,3\n"
    return {"labels.csv": text, "a.mp4": "", "b.wav": "", "c.mkv": ""}


SENT = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID\n"


def meld() -> Files:
    return {
        "train_sent_emo.csv": SENT + "1,Oh!,Ross,surprise,negative,0,0\n2,Hm.,Ross,neutral,neutral,125,3\n",
        "dev_sent_emo.csv": SENT + "1,Hey!,Joey,joy,positive,0,0\n2,Did they?,Phoebe,neutral,neutral,110,7\n",
        "test_sent_emo.csv": SENT + "1,No.,Monica,anger,negative,0,0\n",
        "train_splits/dia0_utt0.mp4": "",
        "train_splits/dia125_utt3.mp4": "",
        "dev_splits_complete/dia0_utt0.mp4": "",
        "dev_splits_complete/dia66_utt9.mp4": "",
        "output_repeated_splits_test/dia0_utt0.mp4": "",
    }


def mer2023() -> Files:
    return {"train-label.csv": "name,discrete,valence\na,happy,2.5\n", "train/a.mp4": "", "test3/b.mp4": ""}


def mer2024() -> Files:
    return {"label-disdim.csv": "name,discrete\na,happy\n", "video-labeled/a.mp4": "", UNLABELED: ""}


UNLABELED = "video-unlabeled-with-test2noise/b.mp4"


def mer2025() -> Files:
    return {"track1_train_disdim.csv": "name,discrete\na,happy\n", "video/a.mp4": "", "video/b.mp4": ""}


def mer2026() -> Files:
    return {"track1_train.csv": "name,discrete\na,happy\n", "video/a.mp4": "", "video/b.mp4": ""}


MINIATURES = {
    "folder": folder,
    "mer2023": mer2023,
    "mer2024": mer2024,
    "mer2025": mer2025,
    "mer2026": mer2026,
    "meld": meld,
    "iemocap": iemocap,
    "ch-sims": ch_sims,
    "ch-sims-v2": ch_sims_v2,
    "mosi": mosi,
    "mosei": mosei,
    "crema-d": crema_d,
    "ravdess": ravdess,
    "mead": mead,
    "emodb": emodb,
    "emobox": emobox,
}
"""By layout; audformat's is written by its own package: see test_audformat.py."""
