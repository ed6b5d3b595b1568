"""The same answer twice: for gunicorn (WSGI), and for uvicorn (ASGI)."""

import os


def body():
    return f"pid {os.getpid()}\n".encode()


def wsgi(environ, start_response):
    text = body()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    text = body()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})
