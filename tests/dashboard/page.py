"""Operates the dashboard in a browser: page.py BROWSER DEVSTACK PORT, in the directory of the stack.

Every wait is for a condition; the time limits only end a test that fails.
"""

import os
import re
import signal
import subprocess
import sys

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

BROWSER, DEVSTACK, PORT = sys.argv[1:4]
VIEWS = ["services", "logs", "graph", "timeline", "ports", "env", "requests"]
SHOTS = os.environ.get("DEVSTACK_DASHBOARD_SHOTS")
LIMIT = 12_000

expect.set_options(timeout=LIMIT)
axe = Axe()
problems = []


class Dashboard:
    """The server; it can be killed, suspended and started again on its port."""

    def __init__(self):
        command = [DEVSTACK, "dashboard", "--no-open", "--port", PORT]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "DEVSTACK_PROXY": "off"})
        self.url = self.process.stdout.readline().strip()

    def signal(self, number):
        os.kill(self.process.pid, number)

    def kill(self):
        self.process.kill()
        self.process.wait()


steps = 0


def step(what):
    """Says to the test how far this is."""
    global steps
    steps += 1
    print(f"step {steps}: {what}", flush=True)


def devstack(*args):
    return subprocess.run([DEVSTACK, *args], check=True, capture_output=True, text=True).stdout


def watch(page):
    """Collects what must not happen in a page."""
    page.set_default_timeout(LIMIT)
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))

    def message(said):
        # The browser itself says that a request failed.
        if said.type in ("error", "warning") and "ERR_" not in said.text and "status of 4" not in said.text:
            problems.append(f"{said.type}: {said.text}")

    page.on("console", message)
    page.on("request", lambda asked: asked.url.startswith((f"http://127.0.0.1:{PORT}/", "blob:")) or problems.append(f"asks for {asked.url}"))
    return page


def go(page, view):
    page.evaluate("view => { location.hash = location.hash.split('/').slice(0, 2).join('/') + '/' + view }", view)
    expect(page.locator(f"#views a[href$='/{view}']")).to_have_attribute("aria-current", "page")
    expect(page.locator("#view [aria-busy]")).to_have_count(0)


def phase(page, name):
    return page.locator(".service", has=page.get_by_role("heading", name=name, exact=True)).locator(".head .phase")


def check_axe(page, where):
    found = axe.run(page)
    if found.violations_count:
        problems.append(f"axe, {where}:\n{found.generate_report()}")


def shows(page):
    expect(page.locator("#connection")).to_have_text(re.compile("^Connected"))
    expect(phase(page, "api")).to_have_text("ready")


def looks(browser, url):
    """Each view in light, dark and narrow, with axe; pictures on request."""
    for name, scheme, width in [("light", "light", 1200), ("dark", "dark", 1200), ("narrow", "light", 360)]:
        step(name)
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}, reduced_motion="reduce")
        page = watch(context.new_page())
        page.goto(url)
        shows(page)
        for view in VIEWS:
            go(page, view)
            check_axe(page, f"{name} {view}")
            wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
            assert not wide, f"{name} {view} scrolls sideways"
            if SHOTS:
                page.screenshot(path=f"{SHOTS}/{name}-{view}.png")
        context.close()


def access(browser, url):
    context = browser.new_context()
    page = watch(context.new_page())
    page.goto(url)
    shows(page)
    assert "token" not in page.url, page.url
    assert context.cookies() == []
    page.reload()
    shows(page)
    # Another tab of the page learns the token from this one.
    other = watch(context.new_page())
    other.goto(url.split("#")[0])
    shows(other)
    context.close()
    stranger = browser.new_context()
    page = watch(stranger.new_page())
    page.goto(url.split("#")[0])
    expect(page.get_by_role("heading", name="This tab has no access")).to_be_visible()
    check_axe(page, "no access")
    stranger.close()


def hostile(page):
    go(page, "logs")
    lines = page.locator("div.log .line.stdout")
    payload = lines.filter(has_text="onerror").locator(".what")
    expect(payload).to_have_text('<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>')
    assert payload.locator("*").count() == 0
    expect(lines.filter(has_text="plain end").locator(".what")).to_have_text("linkplain end")
    expect(lines.filter(has_text="green").locator(".what")).to_have_text("red green \ufffdbidi\ufffd")
    expect(lines.filter(has_text="green").locator(".fg1")).to_have_text("red")
    expect(lines.filter(has_text="progress").locator(".what")).to_have_text("progress 100%")
    go(page, "env")
    expect(page.locator("td code", has_text="<b>plain</b>")).to_be_visible()
    assert page.evaluate("window.harmed") is None
    assert page.title().endswith("devstack"), page.title()


def endless(page):
    """Of lines without an end, a tab keeps the start; text made to be slow to read is not."""
    kept, cut = page.evaluate(
        """async () => {
          const { shortened } = await import("/state.js");
          const kept = shortened({ seq: 1, line: "x".repeat(1_000_000) });
          return [kept.line.length, kept.cut];
        }"""
    )
    assert (kept, cut) == (8_000, 992_000), (kept, cut)
    page.evaluate(
        """() => import("/ansi.js").then(({ plain }) => setTimeout(() => {
          const slow = ["\\u009d".repeat(7_998) + "\\u001b", "\\u001b[" + "!".repeat(7_990) + "\\u0001", "\\u0090".repeat(7_998) + "\\u001b"];
          for (let count = 0; count < 300; count += 1) plain(slow[count % slow.length]);
          document.body.dataset.read = "";
        }))"""
    )
    expect(page.locator("body[data-read]")).to_have_count(1)


def buttons(page):
    """Everything that can be pressed for a service."""
    go(page, "services")
    press = lambda name: page.get_by_role("button", name=name, exact=True).click()
    press("Stop ticker")
    expect(phase(page, "ticker")).to_have_text("idle")
    press("Start ticker")
    expect(phase(page, "ticker")).to_have_text("ready")
    before = page.locator(".service", has_text="ticker").locator(".facts").inner_text()
    press("Restart ticker")
    expect(page.locator(".service", has_text="ticker").locator(".facts")).not_to_have_text(before)
    expect(phase(page, "ticker")).to_have_text("ready")
    press("Restart ticker in debug mode")
    expect(page.locator(".notice", has_text="Debug mode ticker")).to_be_visible()
    press("Restart ticker in run mode")
    expect(page.locator(".notice", has_text="Run mode ticker")).to_be_visible()
    expect(page.get_by_role("button", name="Restart ticker in debug mode")).to_be_visible()
    press("Start broken")
    expect(phase(page, "broken")).to_have_text("failed")
    press("Details of broken")
    expect(page.locator(".details dl", has_text="code 3")).to_be_visible()
    check_axe(page, "details")
    press("Details of broken")
    expect(page.locator(".details dl", has_text="code 3")).not_to_be_visible()

    press("Run seed of api")
    page.get_by_label("count").fill("50")
    check_axe(page, "the form of an action")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".fg1")).to_have_text("seeded 50")
    expect(dialog.get_by_role("status")).to_have_text("Done.")
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)

    # One that goes on is ended in its dialog, or by its button.
    press("Run stays of api")
    expect(dialog.locator(".line", has_text="running")).to_be_visible()
    dialog.get_by_role("button", name="End it").click()
    expect(dialog.get_by_role("status")).to_have_text("Ended by signal TERM.")
    dialog.get_by_role("button", name="Close").click()
    press("Run stays of api")
    expect(dialog.locator(".line", has_text="running")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    press("End stays of api")
    expect(page.get_by_role("button", name="End stays of api")).to_have_count(0)
    # Debug mode is offered only where there is one.
    expect(page.get_by_role("button", name="Restart api in debug mode")).to_have_count(0)

    # What is refused is said.
    page.evaluate("""async () => { const { act } = await import('/actions.js'); await act('stop', ['nope']); }""")
    expect(page.locator(".notice.failure", has_text="unknown service `nope`")).to_be_visible()
    while page.locator(".notice").count():
        page.locator(".notice button").first.click()

    press("Restart all")
    expect(page.locator(".notice", has_text="Restart")).to_be_visible()
    expect(phase(page, "api")).to_have_text("ready")
    expect(phase(page, "ticker")).to_have_text("ready")
    press("Stop ticker")
    expect(phase(page, "ticker")).to_have_text("idle")
    press("Start all")
    expect(phase(page, "ticker")).to_have_text("ready")


def many_services(page):
    """A filter finds those that matter, and no view grows without need."""
    go(page, "services")
    shown = page.locator(".service:visible")
    everything = shown.count()
    page.get_by_label("Filter", exact=True).fill("FAIL")
    expect(shown).to_have_count(1)
    expect(shown.get_by_role("heading", name="broken")).to_be_visible()
    expect(page.locator(".tools .note")).to_have_text(re.compile(rf"^1 of {everything} shown: 1 failed, "))
    check_axe(page, "filtered services")
    page.get_by_label("Filter", exact=True).fill("")
    expect(shown).to_have_count(everything)
    height, apart = page.evaluate(
        """async () => {
          const { places } = await import("/graph.js");
          const needs = (name) => [{ service: name, condition: "ready" }];
          const lone = Array.from({ length: 60 }, (_, at) => ({ name: `lone-${at}`, depends_on: [] }));
          const { found, height } = places([{ name: "web", depends_on: needs("api") }, ...lone, { name: "api" }]);
          const all = [...found.values()].map((place) => `${place.x} ${place.y}`);
          return [height, new Set(all).size === 62 && found.get("api").y === found.get("web").y];
        }"""
    )
    assert height < 1_200 and apart, (height, apart)
    counted = page.evaluate(
        """async () => {
          const { ofStart } = await import("/timeline.js");
          const span = (name, from, ready, more) => ({ name, from, ready, to: 900_000, start: 1, end: null, by: null, ...more });
          const all = [
            [span("db", 1_000, 31_000)],
            [span("api", 31_000, null, { to: 32_000, end: "code 1", by: "unexpected" }), span("api again", 47_000, 49_000, { start: 2 })],
            [span("web", 49_000, 50_000)],
            [span("by hand", 500_000, 501_000)],
          ].map((spans) => ({ spans }));
          return [...ofStart(all, 900)].map((one) => one.name);
        }"""
    )
    assert counted == ["db", "api", "web"], counted


def keyboard(page):
    """From the beginning of the page to a button and to a line, without a mouse."""
    go(page, "services")
    page.reload()
    shows(page)
    page.keyboard.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('aria-label')") == "Restart hostile":
            break
    page.keyboard.press("Enter")
    expect(page.locator(".notice", has_text="Restart hostile")).to_be_visible()
    # The list has changed meanwhile, and the focus has not.
    expect(page.get_by_role("button", name="Restart hostile", exact=True)).to_be_focused()
    expect(phase(page, "hostile")).to_have_text("ready")

    go(page, "logs")
    expect(page.locator("div.log .line", has_text="tick").first).to_be_visible()
    page.locator("div.log").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.className") == "at"
    page.keyboard.press("Enter")
    expect(page.locator(".line.linked a.at")).to_be_focused()
    check_axe(page, "a linked line")


def logs(page):
    go(page, "logs")
    # A line about the stack is drawn like the others.
    expect(page.locator(".line.status.tone-notice").first).to_be_visible()
    expect(page.locator(".line.notice")).to_have_count(0)
    page.get_by_label("Search", exact=True).fill("TICK 3")
    expect(page.locator("div.log .line.stdout").first).to_contain_text("tick 3")
    expect(page.locator("div.log .line.stdout", has_text="migrated")).to_have_count(0)
    page.get_by_label("Search", exact=True).fill("migr")
    page.get_by_role("button", name="Search all kept lines").click()
    expect(page.locator("#view")).to_contain_text("with “migr”")
    expect(page.locator("div.log .line.stdout", has_text="migrated").first).to_be_visible()
    # What devstack itself says is found, too.
    page.get_by_label("Search", exact=True).fill("is up")
    page.get_by_role("button", name="Search all kept lines").click()
    expect(page.locator("#view")).to_contain_text("with “is up”")
    expect(page.locator("div.log .line.status", has_text="is up").first).to_be_visible()
    page.get_by_label("Search", exact=True).fill("migr")
    page.get_by_role("button", name="Search all kept lines").click()
    expect(page.locator("#view")).to_contain_text("with “migr”")
    link = page.locator("div.log .line a.at").first
    target = page.evaluate("link => link.href", link.element_handle())
    link.click()
    expect(page.locator(".line.linked")).to_contain_text("migrated")
    # The same link in another tab.
    other = watch(page.context.new_page())
    other.goto(target)
    expect(other.locator(".line.linked")).to_contain_text("migrated")
    other.close()
    page.get_by_role("button", name="Back to new lines").click()
    page.get_by_label("Service", exact=True).select_option("migrate")
    expect(page.locator("div.log .line.stdout", has_text="tick")).to_have_count(0)
    page.get_by_label("Service", exact=True).select_option("")
    follow = page.get_by_role("button", name="Follow")
    if follow.get_attribute("aria-pressed") == "false":
        follow.click()
    expect(follow).to_have_attribute("aria-pressed", "true")
    page.locator("div.log").evaluate("node => { node.scrollTop = 0 }")
    if page.locator("div.log").evaluate("node => node.scrollHeight > node.clientHeight + 40"):
        expect(follow).to_have_attribute("aria-pressed", "false")
        follow.click()


def secrets(page):
    go(page, "env")
    page.get_by_label("Service", exact=True).select_option("api")
    expect(page.get_by_role("button", name="Show API_KEY")).to_be_visible()
    assert "topsecret" not in page.content()
    page.get_by_role("button", name="Show API_KEY").click()
    expect(page.locator("td code", has_text="topsecret")).to_be_visible()
    page.get_by_role("button", name="Hide API_KEY").click()
    expect(page.locator("td code", has_text="topsecret")).to_have_count(0)
    page.get_by_label("with inherited variables").check()
    expect(page.get_by_role("rowheader", name="PATH", exact=True)).to_be_visible()


def others(page):
    go(page, "graph")
    expect(page.get_by_role("link", name="ticker, ready: logs")).to_be_visible()
    expect(page.locator("#view .plain")).to_contain_text("ticker depends on migrate (completed)")
    go(page, "timeline")
    expect(page.get_by_role("row", name=re.compile("^migrate"))).to_contain_text("ended with code 0")
    page.get_by_label("Show", exact=True).select_option("all")
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_role("row", name=re.compile("^broken"))).to_contain_text("ended with code 3")
    go(page, "ports")
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_role("row", name=re.compile("^api"))).to_contain_text("the service listens")
    go(page, "requests")
    expect(page.locator("#view")).to_contain_text("No requests: the services of this stack have no names")


def many_tabs(browser, url):
    """More tabs than a browser has connections, all of them visible."""
    context = browser.new_context()
    pages = [watch(context.new_page()) for _ in range(10)]
    for page in pages:
        page.goto(url)
    for page in pages:
        shows(page)
    pages[9].get_by_role("button", name="Stop ticker", exact=True).click()
    for page in pages:
        expect(phase(page, "ticker")).to_have_text("idle")
    pages[5].get_by_role("button", name="Start ticker", exact=True).click()
    for page in pages:
        expect(phase(page, "ticker")).to_have_text("ready")
    few = sum("many tabs" in page.locator("#connection").inner_text() for page in pages)
    assert few == 6, few
    context.close()


def cuts(browser, dashboard):
    """The server dies, is suspended; the tab is hidden; the network is away."""
    context = browser.new_context()
    page = watch(context.new_page())
    page.goto(dashboard.url)
    shows(page)

    dashboard.kill()
    expect(page.locator("#connection")).to_contain_text("Connection lost")
    check_axe(page, "lost")
    devstack("restart", "hostile")
    dashboard = Dashboard()
    shows(page)
    expect(page.locator(".notice", has_text="Meanwhile").last).to_contain_text(re.compile(r"Reconnected after .*Meanwhile: [1-9]\d* events?, [1-9]\d* log lines?"))
    go(page, "logs")
    expect(page.locator(".line.mark", has_text="Reconnected")).to_be_visible()
    ticks = page.locator("div.log .line.stdout .what").all_inner_texts()
    numbers = [int(text.removeprefix("tick ")) for text in ticks if text.startswith("tick ")]
    last_run = numbers[len(numbers) - 1 - numbers[::-1].index(1):] if 1 in numbers else numbers
    assert last_run == list(range(last_run[0], last_run[0] + len(last_run))), f"lines are missing or twice: {last_run}"

    step("suspended")
    dashboard.signal(signal.SIGSTOP)
    expect(page.locator("#connection")).to_contain_text("Connection lost", timeout=2 * LIMIT)
    dashboard.signal(signal.SIGCONT)
    expect(page.locator("#connection")).to_have_text("Connected")

    step("hidden")
    page.evaluate("""() => {
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });
        document.dispatchEvent(new Event('visibilitychange'));
    }""")
    expect(page.locator("#connection")).to_have_text("Paused while hidden")
    page.evaluate("""() => {
        delete document.hidden;
        document.dispatchEvent(new Event('visibilitychange'));
    }""")
    expect(page.locator("#connection")).to_have_text("Connected")
    context.close()
    return dashboard


def the_end(page):
    go(page, "services")
    page.get_by_role("button", name="Stop the stack").click()
    check_axe(page, "the question")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Stop the stack").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop the stack").click()
    expect(page.locator("#stack .problem")).to_contain_text("devstack up")
    check_axe(page, "a stack that has stopped")


def main():
    dashboard = Dashboard()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
            step("access")
            access(browser, dashboard.url)
            looks(browser, dashboard.url)
            context = browser.new_context()
            page = watch(context.new_page())
            page.goto(dashboard.url)
            shows(page)
            for part in [hostile, endless, logs, buttons, many_services, keyboard, secrets, others]:
                step(part.__name__)
                part(page)
            context.close()
            step("many tabs")
            many_tabs(browser, dashboard.url)
            step("cuts")
            dashboard = cuts(browser, dashboard)
            page = watch(browser.new_page())
            page.goto(dashboard.url)
            shows(page)
            step("stop")
            the_end(page)
            browser.close()
    finally:
        dashboard.kill()
        print("the end", flush=True)
    if problems:
        sys.exit("\n".join(problems))


main()
