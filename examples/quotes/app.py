"""A quotation for each visit: a small Python app that Toft runs without an app file."""

import os
import random

from bottle import Bottle, response, template

QUOTES = [
    ("Simplicity is a great virtue but it requires hard work to achieve it and education to appreciate it.",
     "Edsger W. Dijkstra"),
    ("That brain of mine is something more than merely mortal; as time will show.", "Ada Lovelace"),
    ("We can only see a short distance ahead, but we can see plenty there that needs to be done.", "Alan Turing"),
    ("A ship in port is safe, but that is not what ships are built for.", "John A. Shedd"),
    ("Mathematical science shows what is. It is the language of unseen relations between things.", "Ada Lovelace"),
    ("Nothing in life is to be feared, it is only to be understood.", "Marie Curie"),
]

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Quotes</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  :root { color-scheme: light dark; --paper: #f4f1ea; --ink: #1f2430; --faint: #5d6270; --accent: #7a2e3a; }
  @media (prefers-color-scheme: dark) {
    :root { --paper: #171a21; --ink: #e9e6df; --faint: #9aa0ae; --accent: #e0a0a9; }
  }
  body { margin: 0; min-height: 100vh; min-height: 100svh; display: grid; place-content: center; padding: 2rem;
         box-sizing: border-box; background: var(--paper); color: var(--ink);
         font: 1.125rem/1.5 "Iowan Old Style", Palatino, "URW Palladio L", P052, Georgia, serif; }
  figure { margin: 0; max-width: 34rem; }
  blockquote { margin: 0; font-size: clamp(1.6rem, 5vw, 2.6rem); line-height: 1.25; text-wrap: balance; }
  blockquote::before { content: "\\201C"; position: absolute; translate: -0.55em 0; color: var(--accent); }
  figcaption { margin-top: 1.25rem; color: var(--faint); font-style: italic; }
  a { display: inline-block; margin-top: 2.5rem; color: var(--accent); text-underline-offset: 0.2em; }
  a:focus-visible { outline: 3px solid var(--accent); outline-offset: 4px; }
</style>
</head>
<body>
<main>
<figure>
  <blockquote>{{text}}</blockquote>
  <figcaption>{{author}}</figcaption>
</figure>
<a href="/">Another one</a>
</main>
</body>
</html>
"""

app = Bottle()


@app.get("/")
def page():
    response.set_header("Cache-Control", "no-store")
    text, author = random.choice(QUOTES)
    return template(PAGE, text=text, author=author)


@app.get("/quotes.json")
def quotes():
    return {"quotes": [{"text": text, "author": author} for text, author in QUOTES]}


@app.get("/healthz")
def healthz():
    response.content_type = "text/plain"
    return "ok\n"


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.environ.get("PORT", "8080")), quiet=True)
