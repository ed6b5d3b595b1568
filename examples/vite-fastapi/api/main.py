"""The API: answers /api/tasks."""

from fastapi import FastAPI

app = FastAPI()

TASKS = ["write the page", "write the API"]


@app.get("/api/tasks")
def tasks() -> list[str]:
    return TASKS
