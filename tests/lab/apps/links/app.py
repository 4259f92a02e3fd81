"""A list of links, kept in MariaDB."""

import os
from urllib.parse import urlsplit

import pymysql
from flask import Flask, redirect, request
from markupsafe import escape

app = Flask(__name__)


def database():
    """One connection, and the table the first time."""
    at = urlsplit(os.environ["DATABASE_URL"])
    link = pymysql.connect(
        host=at.hostname, port=at.port, user=at.username, password=at.password, database=at.path[1:], autocommit=True
    )
    with link.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS link (id INT AUTO_INCREMENT PRIMARY KEY, url VARCHAR(200))")
    return link


@app.get("/")
def show():
    """Every link."""
    with database() as link, link.cursor() as cursor:
        cursor.execute("SELECT url FROM link ORDER BY id")
        rows = "".join(f"<li>{escape(url)}</li>" for (url,) in cursor.fetchall())
    return f"<h1>{os.environ['TITLE']}</h1><ul>{rows}</ul>"


@app.post("/")
def add():
    """One more."""
    with database() as link, link.cursor() as cursor:
        cursor.execute("INSERT INTO link (url) VALUES (%s)", (request.form["url"],))
    return redirect("/", code=303)
