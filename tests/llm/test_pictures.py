from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from toolgate.errors import InvalidArguments
from toolgate.llm.messages import Image
from toolgate.llm.pictures import MOST, MOST_OF_ALL, MOST_PICTURES, bounded, decoded, of_url, picture, told
from toolgate.settings import Server

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
BEGINNINGS = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "image/gif": b"GIF89a\x01\x00",
    "image/webp": b"RIFF\x0a\x00\x00\x0aWEBPVP8 ",
}


def url_of(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{b64encode(data).decode()}"


@pytest.mark.parametrize("media_type", BEGINNINGS)
def test_a_picture_is_taken_whose_first_bytes_are_of_the_type_that_it_is_said_to_be(media_type: str) -> None:
    data = BEGINNINGS[media_type]

    assert of_url(url_of(data, media_type), "it") == Image(data, media_type)
    assert of_url(url_of(data, media_type.upper()), "it") == Image(data, media_type)
    assert picture(data, "it") == Image(data, media_type)
    for other in BEGINNINGS.keys() - {media_type}:
        with pytest.raises(InvalidArguments, match=f"it begins as {media_type} does and is said to be another type; say {media_type}"):
            of_url(url_of(data, other), "it")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/cat.png?key=secret",
        "http://127.0.0.1/cat.png",
        "file:///etc/passwd",
        "cat.png",
        "",
        "data:image/png,%89PNG",
        "data:;base64,iVBORw0KGgo=",
    ],
)
def test_an_address_is_not_fetched_and_the_refusal_says_what_would_work_and_not_the_address(url: str) -> None:
    with pytest.raises(InvalidArguments) as refused:
        of_url(url, "messages.0.content.1")

    assert str(refused.value) == (
        "messages.0.content.1 is no data: URL. Nothing is fetched for a caller: send the picture itself, as data:image/png;base64,… "
        "(image/png, image/jpeg, image/gif and image/webp are taken)"
    )


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"BM\x00\x00", b"RIFF\x00\x00\x00\x00WAVE", b" " + PNG]
)
def test_what_begins_as_no_picture_is_none(data: bytes) -> None:
    with pytest.raises(InvalidArguments, match="it does not begin as a picture does of a type that is taken: image/png, "):
        of_url(url_of(data), "it")


@pytest.mark.parametrize("base64", ["iVBORw0KGgo", "iVBO Rw0KGgo=", "iVBORw0KGgo=\n", "ä"])
def test_what_is_no_base64_is_said_to_be_none(base64: str) -> None:
    with pytest.raises(InvalidArguments, match="it is not base64"):
        decoded(base64, "it", "image/png")


def test_a_picture_has_its_bound() -> None:
    assert of_url(url_of(PNG.ljust(MOST)), "it").data == PNG.ljust(MOST)
    with pytest.raises(InvalidArguments, match=f"it is larger than {MOST} bytes"):
        of_url(url_of(PNG.ljust(MOST + 1)), "it")
    with pytest.raises(InvalidArguments, match=f"it is larger than {MOST} bytes"):
        picture(PNG.ljust(MOST + 1), "it")


def test_all_pictures_of_a_conversation_have_their_bounds() -> None:
    small, large = Image(PNG), Image(PNG.ljust(MOST))

    assert bounded([small] * MOST_PICTURES) == (small,) * MOST_PICTURES
    assert len(bounded([large] * (MOST_OF_ALL // MOST))) == MOST_OF_ALL // MOST
    for images in ([small] * (MOST_PICTURES + 1), [large] * (MOST_OF_ALL // MOST) + [small]):
        with pytest.raises(InvalidArguments, match=f"the conversation would have {len(images)} pictures of "):
            bounded(images)


def test_the_bounds_are_those_that_the_page_and_the_description_tell() -> None:
    root = Path(__file__).resolve().parents[2]
    page, described = (root / "docs/agent.md").read_text(), (root / "src/toolgate/api/openapi.yaml").read_text()

    assert f"at most {MOST:,} bytes" in page
    assert f"{MOST_PICTURES} pictures of {MOST_OF_ALL:,} bytes in all" in page
    assert described.count(f"{MOST:,} bytes at most, {MOST_PICTURES} in a conversation") == 2
    assert Server().max_body == 4 * 1024 * 1024


def test_what_is_written_down_of_a_picture_tells_it_from_others_without_a_byte_of_it() -> None:
    image = Image(PNG)

    assert told([image]) == f"[picture: image/png, {len(PNG)} bytes, sha256 {image.digest}]"
    assert told([image]) != told([Image(PNG + b"\x00")])
    assert "PNG" not in repr(image)
