"""The skills: each is asked for by its name."""

import os

from fastapi import FastAPI

app = FastAPI()


@app.get("/health")
def health() -> dict[str, object]:
    return {"ok": True, "user": os.getuid()}


@app.get("/skills/{name}")
def skill(name: str) -> dict[str, str]:
    return {"skill": name, "text": name.title()}
