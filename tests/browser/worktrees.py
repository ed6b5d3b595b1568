"""Visits the services of two worktrees in one browser:
worktrees.py BROWSER DEVSTACK SIGN_IN MAIN LINKED URL=PID...

Each service answers with its process and the cookies it has got, and sets one, `session`. SIGN_IN redirects to the front
port. Every wait is for a condition; the time limits only end a test that fails.
"""

import json
import subprocess
import sys

from playwright.sync_api import sync_playwright

BROWSER, DEVSTACK, SIGN_IN, MAIN, LINKED, *SERVED = sys.argv[1:]
PIDS = dict(one.split("=") for one in SERVED)
LIMIT = 60_000
steps = 0


def step(what):
    """Says to the test how far this is."""
    global steps
    steps += 1
    print(f"step {steps}: {what}", flush=True)


def get(page, url):
    return json.loads(page.goto(url).text())


def operate(page):
    for again in [False, True]:
        step("each service once more" if again else "each service")
        for url, pid in PIDS.items():
            seen = get(page, url)
            cookie = f"session={pid}" if again else ""
            assert (str(seen["pid"]), seen["cookie"]) == (pid, cookie), (url, seen)
    webs = [pid for url, pid in PIDS.items() if url.startswith("http://web.")]
    for directory, pid in [(MAIN, webs[0]), (LINKED, webs[1]), (MAIN, webs[0])]:
        step(f"a sign-in that comes back to {directory}")
        subprocess.run([DEVSTACK, "front"], cwd=directory, check=True, stdout=subprocess.DEVNULL)
        seen = get(page, SIGN_IN)
        assert (str(seen["pid"]), seen["path"]) == (pid, "/callback?code=4711"), seen
    step("what the front port set has reached no name")
    for url, pid in PIDS.items():
        assert get(page, url)["cookie"] == f"session={pid}", url


def main():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(LIMIT)
        try:
            operate(page)
        finally:
            browser.close()


try:
    main()
finally:
    print("the end", flush=True)
