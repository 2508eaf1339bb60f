"""OpenCV's Haar cascade as numbers, and its licence: a browser has no OpenCV to read the XML with."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2.data

NAME = "haarcascade_frontalface_alt2.xml"

Rectangle = tuple[int, int, int, int, float]
Node = tuple[int, int, int, float]


@dataclass(frozen=True)
class Tree:
    """One tree: `nodes` are left, right, feature and threshold; a child of 0 or less is a leaf by its negative."""

    nodes: tuple[Node, ...]
    leaves: tuple[float, ...]


@dataclass(frozen=True)
class Stage:
    """One stage: a window passes where its trees' leaves sum to `threshold` or more."""

    threshold: float
    trees: tuple[Tree, ...]


@dataclass(frozen=True)
class Cascade:
    """A cascade: its window's sides in pixels, its stages, and of each feature x, y, width, height and weight of its
    rectangles.
    """

    width: int
    height: int
    stages: tuple[Stage, ...]
    features: tuple[tuple[Rectangle, ...], ...]


@cache
def frontal_faces() -> tuple[Cascade, str]:
    """Return the cascade that `inference.photos.faces.HaarFinder` searches with, and its licence's text."""
    text = (Path(cv2.data.haarcascades) / NAME).read_text()
    licence = text[text.index("<!--") + 4 : text.index("-->")].strip("\n")
    cascade = ET.fromstring(text)[0]
    stages = tuple(
        Stage(float(_text(stage, "stageThreshold")), tuple(map(_tree, _items(stage, "weakClassifiers"))))
        for stage in _items(cascade, "stages")
    )
    features = tuple(tuple(map(_rectangle, _items(feature, "rects"))) for feature in _items(cascade, "features"))
    return Cascade(int(_text(cascade, "width")), int(_text(cascade, "height")), stages, features), licence


def _tree(element: ET.Element) -> Tree:
    numbers = [float(word) for word in _text(element, "internalNodes").split()]
    nodes = tuple(
        (int(left), int(right), int(feature), threshold)
        for left, right, feature, threshold in zip(*(numbers[place::4] for place in range(4)), strict=True)
    )
    return Tree(nodes, tuple(float(word) for word in _text(element, "leafValues").split()))


def _rectangle(element: ET.Element) -> Rectangle:
    x, y, width, height, weight = (element.text or "").split()
    return int(x), int(y), int(width), int(height), float(weight)


def _items(element: ET.Element, name: str) -> list[ET.Element]:
    return list(element.iterfind(f"{name}/_"))


def _text(element: ET.Element, name: str) -> str:
    text = element.findtext(name)
    assert text is not None, f"{NAME} has no {name}"
    return text
