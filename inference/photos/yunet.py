"""YuNet, the face detection network of OpenCV's model zoo, in onnxruntime.

Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20 (2023). The answers
are those of OpenCV's own FaceDetectorYN (modules/objdetect/src/face_detect.cpp), in a third of its time.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.engine import CPU, open_session
from inference.wire import with_input_shape

# A face is looked for around every cell of three grids, whose cells have so many pixels a side.
STRIDES = (8, 16, 32)
SIDE_MULTIPLE = STRIDES[-1]
OUTPUTS = tuple(f"{kind}_{stride}" for stride in STRIDES for kind in ("cls", "obj", "bbox"))
MOST_SHARED = 0.3  # Two boxes that share more than this part of their union are one face.
INPUT_SHAPE = (1, 3, "height", "width")


class YuNet:
    """The network on one thread, since a second one saves it next to nothing; several threads may share it."""

    def __init__(self, model: bytes, name: str) -> None:
        """Load the network from a file's content; `name` is the file's, for messages.

        Raises:
            InputError: onnxruntime cannot load it.
        """
        # The file of 2023 names 640 x 640 as its only size, which its network does not depend on.
        self._session = open_session(with_input_shape(model, INPUT_SHAPE, name), name, CPU, threads=1)
        self._input = self._session.get_inputs()[0].name

    def detect(self, picture: NDArray[np.uint8], least: float) -> NDArray[np.float32]:
        """Return the faces in an RGB picture, the surest first.

        Args:
            picture: uint8[H, W, 3], both sides multiples of `SIDE_MULTIPLE`.
            least: the score, 0 to 1, that a face has at least.

        Returns:
            float32[faces, 5]: left, top, width and height in pixels, and the score.
        """
        answers = self._session.run(OUTPUTS, {self._input: cv2.dnn.blobFromImage(picture, swapRB=True)})
        by_grid = zip(answers[::3], answers[1::3], answers[2::3], STRIDES, strict=True)
        found: NDArray[np.float32] = np.concatenate([_boxes(*of_grid, picture.shape[1], least) for of_grid in by_grid])
        kept = cv2.dnn.NMSBoxes(found[:, :4].astype(int).tolist(), found[:, 4].tolist(), least, MOST_SHARED)
        surest: NDArray[np.float32] = found[np.asarray(kept, int)]
        return surest


def _boxes(
    classes: NDArray[np.float32],
    objects: NDArray[np.float32],
    offsets: NDArray[np.float32],
    stride: int,
    width: int,
    least: float,
) -> NDArray[np.float32]:
    """Return float32[n, 5] of a grid's answers: its cells row by row, of a picture `width` pixels wide."""
    scores = np.sqrt(classes[0, :, 0].clip(0, 1) * objects[0, :, 0].clip(0, 1))
    cells = np.flatnonzero(scores >= least)
    rows, columns = np.divmod(cells, width // stride)
    offsets = offsets[0, cells]
    sides = np.exp(offsets[:, 2:]) * stride
    middles = (offsets[:, :2] + np.stack([columns, rows], axis=1)) * stride
    return np.concatenate([middles - sides / 2, sides, scores[cells, None]], axis=1, dtype=np.float32)
