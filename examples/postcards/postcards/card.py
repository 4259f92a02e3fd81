"""Draw a postcard: photo, white border, caption and postmark. The same input gives the same bytes."""

import io
import math
from datetime import datetime
from importlib.resources import files

from PIL import Image, ImageDraw, ImageFont, ImageOps

from postcards.photo import NotAPhotoError, open_photo

SIZE = (1200, 800)
BORDER = 36
PHOTO = (SIZE[0] - 2 * BORDER, 596)
FOCUS = (0.5, 0.4)  # what a crop keeps: people stand above the middle of a photo
PAPER = (253, 252, 248)
INK = (38, 40, 48)
STAMP_INK = (168, 50, 50)
CAPTION_LEFT, CAPTION_RIGHT = BORDER + 10, 850
CAPTION_MIDDLE = (BORDER + PHOTO[1] + SIZE[1]) // 2
# Font size and how many lines of it fit, from the most to the least wanted.
TYPE_SIZES = ((56, 1), (50, 1), (44, 2), (38, 2), (33, 3), (29, 3), (24, 4))
SUPERSAMPLE = 3  # the postmark is drawn larger and shrunk: Pillow draws arcs without smoothing
POSTMARK = (300, 150)  # width and height, in pixels of the card
# The italic is the prettier face; the upright one also covers Greek and Cyrillic.
FACES = ("SourceSerifPro-It.ttf", "SourceSerifPro-Regular.ttf")
NO_GLYPH = "\uffff"

Font = ImageFont.FreeTypeFont


def draw_card(photo: bytes, greeting: str, date: datetime) -> bytes:
    """Give the finished card as JPEG; raise NotAPhotoError when the photo cannot be decoded."""
    card = Image.new("RGB", SIZE, PAPER)
    picture = _picture(photo)
    card.paste(picture, (BORDER, BORDER))
    _caption(card, greeting)
    mark = _postmark(date).rotate(7, Image.Resampling.BICUBIC, expand=True)
    card.paste(STAMP_INK, (SIZE[0] - BORDER - mark.width + 10, CAPTION_MIDDLE - mark.height // 2), mark)
    output = io.BytesIO()
    card.save(output, "JPEG", quality=88, optimize=True, progressive=True, icc_profile=picture.info.get("icc_profile"))
    return output.getvalue()


def _picture(photo: bytes) -> Image.Image:
    image = open_photo(photo)
    profile = image.info.get("icc_profile") if image.mode == "RGB" else None
    # A JPEG can be decoded at a half, quarter or eighth of its size: a fraction of the memory.
    image.draft("RGB", (SIZE[0], SIZE[0]))
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise NotAPhotoError("The photo is damaged and could not be read.") from error
    ImageOps.exif_transpose(image, in_place=True)
    if image.has_transparency_data:
        layer = ImageOps.fit(image.convert("RGBA"), PHOTO, Image.Resampling.LANCZOS, centering=FOCUS)
        picture = Image.new("RGB", PHOTO, PAPER)
        picture.paste(layer, mask=layer)
    else:
        flat = image if image.mode == "RGB" else image.convert("RGB")
        picture = ImageOps.fit(flat, PHOTO, Image.Resampling.LANCZOS, centering=FOCUS)
    picture.info = {"icc_profile": profile} if profile else {}
    return picture


def _caption(card: Image.Image, greeting: str) -> None:
    face, text = _readable(" ".join(greeting.split()))
    for size, room in TYPE_SIZES:
        font = _font(face, size)
        lines = _wrap(text, font, CAPTION_RIGHT - CAPTION_LEFT)
        if len(lines) <= room:
            break
    else:
        lines = [*lines[: room - 1], lines[room - 1].rstrip() + "…"]
    ImageDraw.Draw(card).multiline_text(
        (CAPTION_LEFT, CAPTION_MIDDLE), "\n".join(lines), INK, font, anchor="lm", spacing=size // 5
    )


def _wrap(text: str, font: Font, width: int) -> list[str]:
    """Break into lines at spaces, and inside a word only when it is wider than a line."""
    lines = [""]
    for word in text.split(" "):
        candidate = f"{lines[-1]} {word}".strip()
        if font.getlength(candidate) <= width:
            lines[-1] = candidate
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def _readable(text: str) -> tuple[str, str]:
    """Choose the face that has every letter; where none has, leave out what would be an empty box."""
    known = [(face, _known(text, _font(face, 20))) for face in FACES]
    return max(known, key=lambda choice: len(choice[1]))


def _known(text: str, font: Font) -> str:
    box = bytes(font.getmask(NO_GLYPH))
    letters = "".join(letter for letter in text if letter == " " or bytes(font.getmask(letter)) != box)
    return " ".join(letters.split())


def _font(face: str, size: int) -> Font:
    return ImageFont.truetype(str(files("font_source_serif_pro") / "files" / face), size)


def _postmark(date: datetime) -> Image.Image:
    """Draw ring, date and wavy cancellation lines as a mask, in the pixels of the card."""
    scale = SUPERSAMPLE
    mask = Image.new("L", (POSTMARK[0] * scale, POSTMARK[1] * scale), 0)
    draw = ImageDraw.Draw(mask)
    radius = 70 * scale
    centre = (POSTMARK[0] * scale - radius - 4 * scale, POSTMARK[1] * scale // 2)
    for inset, line in ((0, 3), (26, 2)):
        draw.circle(centre, radius - inset * scale, outline=225, width=line * scale)
    for offset in (-36, -18, 0, 18, 36):
        reach = math.sqrt(70**2 - offset**2) * scale
        points = [
            (x, centre[1] + offset * scale + 4 * scale * math.sin(x / (11 * scale)))
            for x in range(0, int(centre[0] - reach), scale)
        ]
        draw.line(points, fill=210, width=2 * scale, joint="curve")
    bold, plain = _font("SourceSerifPro-Bold.ttf", 27 * scale), _font("SourceSerifPro-Semibold.ttf", 15 * scale)
    for text, font, drop in (
        (date.strftime("%b").upper(), plain, -23),
        (f"{date.day}", bold, 0),
        (f"{date.year}", plain, 23),
    ):
        draw.text((centre[0], centre[1] + drop * scale), text, 235, font, anchor="mm")
    _ring_text(mask, centre, 57 * scale, ("POSTCARDS", "WITH LOVE"))
    return mask.resize(POSTMARK, Image.Resampling.LANCZOS)


def _ring_text(mask: Image.Image, centre: tuple[int, int], radius: float, words: tuple[str, str]) -> None:
    """Set one word along the top of the ring and one along its bottom, letter by letter."""
    font = _font("SourceSerifPro-Bold.ttf", 15 * SUPERSAMPLE)
    side = 24 * SUPERSAMPLE
    for word, start, turn in ((words[0], -90, 1), (words[1], 90, -1)):
        for index, letter in enumerate(word):
            angle = start + turn * (index - (len(word) - 1) / 2) * 15.5
            tile = Image.new("L", (side, side), 0)
            ImageDraw.Draw(tile).text((side / 2, side / 2), letter, 235, font, anchor="mm")
            tile = tile.rotate(-angle + start, Image.Resampling.BICUBIC)
            x = centre[0] + radius * math.cos(math.radians(angle)) - side / 2
            y = centre[1] + radius * math.sin(math.radians(angle)) - side / 2
            mask.paste(255, (round(x), round(y)), tile)
