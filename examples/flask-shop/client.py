#!/usr/bin/env python3
"""Uses the shop once, as a customer would: devstack run -- ./client.py

It asks only the environment where the services are, so it works on whatever ports they got. Ends with 0 when the API is
healthy, an order was placed, the worker finished it, and the page is served and reaches the API.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

# The worker finishes an order in milliseconds; a busy machine may take longer.
PATIENCE_SECONDS = 30
# The services are on this machine, whatever proxy the environment names.
web_client = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def main():
    api, web = os.environ["DEVSTACK_API_URL"], os.environ["DEVSTACK_WEB_URL"]

    check(ask(f"{api}/health") == {"status": "ok"}, "the API is healthy")
    greeting = ask(f"{api}/")["greeting"]
    check(greeting, f"the API greets: {greeting}")
    product = ask(f"{api}/products")[0]
    check(product["cents"] > 0, f"there is something to buy: {product['name']}")
    refused = status(f"{api}/orders", {"product": product["id"], "quantity": 0})
    check(refused == 400, "an order of nothing is refused")
    order = ask(f"{api}/orders", {"product": product["id"], "quantity": 2})
    check(order["cents"] == 2 * product["cents"], f"order {order['id']} is placed")
    check(done(f"{api}/orders/{order['id']}"), f"order {order['id']} is done")
    check("<h1" in fetch(web), "the page is served")
    check(ask(f"{web}/api/")["greeting"] == greeting, "the page reaches the API")


def done(url):
    """Waits for the worker."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if ask(url)["status"] == "done":
            return True
        time.sleep(0.05)
    return False


def check(holds, what):
    print(f"{'ok  ' if holds else 'FAIL'} {what}", flush=True)
    if not holds:
        sys.exit(1)


def ask(url, body=None):
    return json.loads(fetch(url, body))


def status(url, body):
    try:
        fetch(url, body)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def fetch(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with web_client.open(request, timeout=10) as answer:
        return answer.read().decode()


if __name__ == "__main__":
    try:
        main()
    except KeyError as error:
        sys.exit(f"{error.args[0]} is missing: run this with `devstack run -- ./client.py`")
    except (OSError, ValueError) as error:
        sys.exit(f"FAIL {error}")
