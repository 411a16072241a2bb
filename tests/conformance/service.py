"""The suite's fixtures as a described REST service: its tools are this service's operations."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


def _operation(name: str, description: str, parameters: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "get": {
            "operationId": name,
            "summary": description,
            "parameters": parameters or [],
            "responses": {"200": {"description": "As the suite wants it."}},
        }
    }


def _parameter(name: str, type: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": type}}


DESCRIPTION = {
    "openapi": "3.1.0",
    "info": {"title": "Fixtures", "version": "1"},
    "paths": {
        "/text": _operation("test_simple_text", "Answer with text."),
        "/image": _operation("test_image_content", "Answer with an image."),
        "/audio": _operation("test_audio_content", "Answer with a sound."),
        "/error": _operation("test_error_handling", "Answer with an error."),
        "/greet": _operation("greet", "Greet somebody.", [_parameter("name", "string")]),
        "/slow": _operation("slow_compute", "Answer late.", [_parameter("seconds", "number"), _parameter("label", "string")]),
        "/failing": _operation("failing_job", "Fail after a second."),
    },
}


def png() -> bytes:
    """One red pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\x00\xff\x00\x00")) + chunk(b"IEND", b"")


def wav() -> bytes:
    """Eight silent samples."""
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    data = b"data" + struct.pack("<I", 8) + bytes(8)
    return b"RIFF" + struct.pack("<I", 4 + len(form) + len(data)) + b"WAVE" + form + data


async def text(request: Request) -> Response:
    return PlainTextResponse("This is a simple text response for testing.")


async def image(request: Request) -> Response:
    return Response(png(), media_type="image/png")


async def audio(request: Request) -> Response:
    return Response(wav(), media_type="audio/wav")


async def error(request: Request) -> Response:
    return PlainTextResponse("This tool intentionally returns an error for testing", 500)


async def greet(request: Request) -> Response:
    return PlainTextResponse(f"Hello, {request.query_params.get('name')}!")


async def slow(request: Request) -> Response:
    with anyio.move_on_after(float(request.query_params.get("seconds", "0"))):
        while not await request.is_disconnected():
            await anyio.sleep(0.1)
    return PlainTextResponse("computed")


async def failing(request: Request) -> Response:
    await anyio.sleep(1)
    return PlainTextResponse("It fails, as it should", 500)


def service() -> Starlette:
    answers = {"text": text, "image": image, "audio": audio, "error": error, "greet": greet, "slow": slow, "failing": failing}
    return Starlette(routes=[Route(f"/{path}", answer) for path, answer in answers.items()])
