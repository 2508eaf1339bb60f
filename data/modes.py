"""Every mode of a picture file as 8-bit RGB: Pillow's own `convert` clips 16 bits and drops transparency."""

import numpy as np
from PIL import Image, TiffImagePlugin

from data.errors import InputError

# 16-bit grey to 8 bits: divided by 257, so that white (65535) stays white (255).
SIXTEEN_TO_EIGHT = ((np.arange(65_536) + 128) // 257).astype(np.uint8)


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """Return an opened picture as 8-bit RGB: 16-bit grey divided by 257, what is transparent laid over white.

    Raises:
        InputError: it (`name`) holds numbers that are not 8- or 16-bit brightness.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return _from_16_bits(image, name)
    if image.mode in ("I", "F"):
        numbers = "floating-point" if image.mode == "F" else "signed or 32-bit"
        raise InputError(f"{name} holds {numbers} numbers: 8- or 16-bit brightness is expected; convert it")
    if not image.has_transparency_data:
        # `convert` would copy what is RGB already, a tenth of the time that a photograph takes.
        return image if image.mode == "RGB" else image.convert("RGB")
    over_white = Image.new("RGB", image.size, "white")
    rgba = image.convert("RGBA")
    over_white.paste(rgba, mask=rgba)
    return over_white


def _from_16_bits(image: Image.Image, name: str) -> Image.Image:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits, photometric = image.tag_v2.get(258), image.tag_v2.get(262)
        # Pillow reads 12 bits into 16 without scaling them, and leaves 0 black where 0 means white.
        if bits != (16,) or photometric != 1:
            raise InputError(f"{name} is grey of 12 bits, or with 0 for white: convert it to 8 or 16 bits")
    return Image.fromarray(SIXTEEN_TO_EIGHT[np.asarray(image)]).convert("RGB")
