"""Operates a page of Vite, FastAPI and Express through their names: live.py BROWSER URL, in the directory of the stack.

Every wait is for a condition; the time limits only end a test that fails.
"""

import re
import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

BROWSER, URL = sys.argv[1:3]
SAVES = 5
LIMIT = 60_000

expect.set_options(timeout=LIMIT)
steps = 0


def step(what):
    """Says to the test how far this is."""
    global steps
    steps += 1
    print(f"step {steps}: {what}", flush=True)


def save(name, old, new):
    path = Path(name)
    path.write_text(path.read_text().replace(old, new))


def operate(page):
    shown = lambda name: page.locator(f"#{name}")
    step("the page is there")
    page.goto(URL)
    expect(shown("word")).to_have_text("first")
    expect(shown("version")).to_have_text("0")
    expect(shown("chat")).to_have_text("heard hello")
    page.evaluate("window.kept = true")
    for number in range(1, SAVES + 1):
        step(f"the API's events are from version {number}")
        save("api/main.py", f"VERSION = {number - 1}", f"VERSION = {number}")
        expect(shown("version")).to_have_text(str(number))
    step("Vite replaces a module")
    save("page/word.ts", "first", "second")
    expect(shown("word")).to_have_text("second")
    step("the WebSocket is open to the new Express")
    save("chat/bin/www", "heard", "understood")
    expect(shown("chat")).to_have_text("understood hello")
    assert page.evaluate("window.kept") is True, "the page was loaded again"


def main():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(LIMIT)
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        # A request that fails, as opposed to a connection that ends, is one too.
        page.on("response", lambda got: got.status >= 400 and "favicon" not in got.url and problems.append(f"{got.status} {got.url}"))
        try:
            operate(page)
        finally:
            browser.close()
        if problems:
            sys.exit("\n".join(problems))


try:
    main()
finally:
    print("the end", flush=True)
