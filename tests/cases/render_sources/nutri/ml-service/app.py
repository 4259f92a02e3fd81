"""Says which foods are alike."""

import os

from fastapi import FastAPI
from sentence_transformers import SentenceTransformer

MODEL_NAME = os.environ.get("MODEL_NAME", "sentence-transformers/paraphrase-MiniLM-L3-v2")

app = FastAPI()
model = SentenceTransformer(MODEL_NAME)


@app.get("/health")
def health() -> dict[str, bool]:
    return {"ok": True}


@app.get("/alike")
def alike(one: str, other: str) -> dict[str, float]:
    return {"likeness": float(model.similarity(model.encode(one), model.encode(other))[0][0])}
