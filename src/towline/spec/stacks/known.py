"""What is known of single packages: which ones are compiled, need a library of the system, load weights, check code."""

from __future__ import annotations

PYTHON_COMPILED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "psycopg2": (("gcc", "libc6-dev", "libpq-dev"), ("libpq5",)),
    "psycopg-c": (("gcc", "libc6-dev", "libpq-dev"), ("libpq5",)),
    "mysqlclient": (("gcc", "libc6-dev", "pkg-config", "default-libmysqlclient-dev"), ("libmariadb3",)),
    "pycairo": (("gcc", "libc6-dev", "pkg-config", "libcairo2-dev"), ("libcairo2",)),
    "pygraphviz": (("gcc", "libc6-dev", "libgraphviz-dev"), ("graphviz",)),
    "pyaudio": (("gcc", "libc6-dev", "portaudio19-dev"), ("libportaudio2",)),
    "uwsgi": (("gcc", "libc6-dev"), ()),
    "dlib": (("g++", "cmake", "make"), ()),
    "hnswlib": (("g++",), ()),
    "pyodbc": ((), ("unixodbc",)),
}
"""Python packages that are built on the spot: what Debian has for building them, and for running them."""

PYTHON_LIBRARIES: dict[str, tuple[str, ...]] = {
    "psycopg": ("libpq5",),
    "gitpython": ("git",),
    "python-magic": ("libmagic1",),
    "weasyprint": ("libpango-1.0-0", "libpangoft2-1.0-0"),
    "opencv-python": ("libgl1", "libglib2.0-0"),
    "pdf2image": ("poppler-utils",),
    "pytesseract": ("tesseract-ocr",),
    "pydub": ("ffmpeg",),
    "ffmpeg-python": ("ffmpeg",),
}
"""Python packages that find a library or a program of the system at run time: how Debian calls it."""

WITH_OWN_LIBRARY = frozenset({"psycopg-binary"})
"""Extras that bring what their package would look for on the system."""

NODE_COMPILED = frozenset(
    {
        "bcrypt", "better-sqlite3", "sqlite3", "canvas", "node-sass", "re2", "isolated-vm", "zeromq", "pg-native",
        "libpq", "kerberos", "node-gyp", "deasync", "leveldown", "cpu-features",
    }
)  # fmt: skip
"""Node packages with a part in C or C++, which is compiled where nobody has built it for this machine."""

NODE_GLIBC = frozenset(
    {
        "puppeteer", "playwright", "onnxruntime-node", "@tensorflow/tfjs-node", "@xenova/transformers",
        "@huggingface/transformers", "wrtc", "libsql",
    }
)  # fmt: skip
"""Node packages whose finished parts are made for glibc alone: they do not run on Alpine."""

FRAMEWORKS: dict[str, tuple[str, ...]] = {
    "node": (
        "next", "nuxt", "@nestjs/core", "express", "fastify", "koa", "hono", "vite", "@remix-run/node", "astro",
        "react-scripts", "@angular/core", "@sveltejs/kit", "socket.io", "bullmq",
    ),
    "python": (
        "fastapi", "django", "flask", "starlette", "litestar", "celery", "rq", "arq", "dramatiq", "streamlit",
        "aiohttp", "uvicorn", "gunicorn", "hypercorn", "towline-runtime",
    ),
}  # fmt: skip
"""What an app is built on, by the name of the package."""

TOOLS: dict[str, tuple[str, ...]] = {
    "node": (
        "eslint", "prettier", "typescript", "jest", "vitest", "mocha", "nyc", "c8", "@playwright/test", "prisma",
        "knex", "drizzle-kit", "typeorm", "sequelize-cli", "node-pg-migrate",
    ),
    "python": (
        "pytest", "pytest-cov", "coverage", "ruff", "black", "mypy", "flake8", "isort", "pylint", "alembic", "bandit",
    ),
}  # fmt: skip
"""What checks, tests and migrates an app, by the name of the package."""

WEIGHTS = ("transformers", "sentence-transformers", "torch", "spacy", "openai-whisper", "diffusers", "timm", "keras")
"""Python packages that load weights which somebody has trained."""

ENDS_ON_TERM = frozenset(
    {
        "uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "waitress-serve", "celery", "arq", "dramatiq", "rq",
        "fastapi", "next", "caddy", "pm2-runtime",
    }
)  # fmt: skip
"""Programs that end by themselves on SIGTERM, also as the first process of a container."""

NODE_NAMES = {"argon": "4", "gallium": "16", "hydrogen": "18", "iron": "20", "jod": "22", "krypton": "24"}
"""The names of Node's long-term versions, as `.nvmrc` knows them."""

DEFAULT_NODE, DEFAULT_PYTHON = "22", "3.11"
"""What runs a service whose files name no version."""
