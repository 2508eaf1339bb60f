"""What is publicly said of models that many know: how they want their faces, and what their answers mean.

Each is declared from its makers' own documentation or program, named beside it, and tried with tiny models that take
and give the same; the `fer` package's with its own weights (docs/adopt.md). Whether a file is one of these models,
nobody can tell from its bytes: the check on a validation part tells whether it is fed rightly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from data.faceset import LABELS
from inference.adoption import Answers, Preprocessing

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
AFFECTNET_8 = ("angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")
AFFECTNET_7 = tuple(name for name in AFFECTNET_8 if name != "contempt")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A declaration by a name: preprocessing, what the columns of the answers mean, what the answers are.

    `trained_on` is what the model's makers say that it was trained on, `source` where all of this is said.
    """

    preprocessing: Preprocessing
    names: tuple[str, ...]
    answers: Answers
    trained_on: str
    source: str


# The zoo's README resizes by Pillow's ANTIALIAS (Lanczos), of which `cubic` is the nearest rule; grey values go in as
# they are, and scores come out.
FERPLUS = Preset(
    preprocessing=Preprocessing(size=64, resize="cubic"),
    names=("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt"),
    answers="logits",
    trained_on="FER2013 with the labels of FER+",
    source="https://github.com/onnx/models/tree/main/validated/vision/body_analysis/emotion_ferplus",
)
# `HSEmotionRecognizer.preprocess` of hsemotion_onnx/facial_emotions.py: cv2.resize, / 255, mean and deviation of
# ImageNet on the first, second and third channel of an RGB picture, logits. 224 pixels for `_b0_`, 260 for others.
HSEMOTION = Preset(
    preprocessing=Preprocessing(
        size=224, channels=3, divide_by=255.0, mean=IMAGENET_MEAN, deviation=IMAGENET_DEVIATION
    ),
    names=AFFECTNET_8,
    answers="logits",
    trained_on="VGGFace2, then AffectNet",
    source="https://github.com/av-savchenko/hsemotion-onnx/blob/main/hsemotion_onnx/facial_emotions.py",
)
HSEMOTION_B2 = replace(HSEMOTION, preprocessing=replace(HSEMOTION.preprocessing, size=260))
HSEMOTION_B2_7 = replace(HSEMOTION_B2, names=AFFECTNET_7)
# `_mtl` files answer valence and arousal behind the eight classes.
HSEMOTION_MTL = replace(HSEMOTION, names=(*AFFECTNET_8, "valence", "arousal"))
# `RMN.detect_emotion_for_single_face_image` of rmn/__init__.py: the grey face in three channels, cv2.resize to the
# config's 224, ToTensor (/ 255), and softmax over what comes out.
RMN = Preset(
    preprocessing=Preprocessing(size=224, channels=3, divide_by=255.0),
    names=LABELS,
    answers="logits",
    trained_on="ImageNet, then FER2013",
    source="https://github.com/phamquiluan/ResidualMaskingNetwork/blob/master/rmn/__init__.py",
)
# fer/fer.py of fer 25.10.3: cv2.resize to the model's 64, x / 255, - 0.5, * 2, which is x / 127.5 - 1; Keras ends it in
# a softmax.
FER = Preset(
    preprocessing=Preprocessing(size=64, divide_by=127.5, mean=(1.0,), layout="nhwc"),
    names=LABELS,
    answers="probabilities",
    trained_on="FER2013",
    source="https://github.com/JustinShenk/fer/blob/master/src/fer/fer.py",
)
# `EmotionClient` of deepface 0.0.103 (models/demography/onnx/Emotion.py and tf/Emotion.py): grey, cv2.resize to 48; the
# picture is in [0, 1] before (`extract_faces` of modules/detection.py); Keras ends it in a softmax.
DEEPFACE = Preset(
    preprocessing=Preprocessing(size=48, divide_by=255.0, layout="nhwc"),
    names=LABELS,
    answers="probabilities",
    trained_on="FER2013",
    source="https://github.com/serengil/deepface/blob/master/deepface/models/demography",
)
PRESETS: Mapping[str, Preset] = {
    "emotion-ferplus-8": FERPLUS,
    "hsemotion": HSEMOTION,
    "hsemotion-b2": HSEMOTION_B2,
    "hsemotion-b2-7": HSEMOTION_B2_7,
    "hsemotion-mtl": HSEMOTION_MTL,
    "rmn": RMN,
    "fer": FER,
    "deepface": DEEPFACE,
}
