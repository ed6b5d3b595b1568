"""The shop's API: products and orders in PostgreSQL, a cache and the worker's queue in Redis.

    GET  /              who this is
    GET  /health        200 when the database and Redis answer
    GET  /products      all products; the header X-Cache says whether the answer came from Redis
    GET  /orders        the 20 newest orders
    GET  /orders/ID     one order
    POST /orders        {"product": 1, "quantity": 2} places an order, which the worker then marks as done
"""

import json
import os

import flask
import psycopg
import redis
from psycopg.rows import dict_row
from werkzeug.exceptions import BadRequest, HTTPException, NotFound

# Change this while the stack runs, save, and ask for / again.
GREETING = "welcome to the shop"

# How long an answer to /products may be old.
CACHE_SECONDS = 5
ORDERS = """
    SELECT o.id, p.name AS product, o.quantity, o.quantity * p.cents AS cents, o.status
    FROM orders o JOIN products p ON p.id = o.product
"""

app = flask.Flask(__name__)
app.json.sort_keys = False
queue = redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=5)


def database():
    """One connection for each request, made when it is first needed."""
    if "db" not in flask.g:
        flask.g.db = psycopg.connect(
            os.environ["DATABASE_URL"], row_factory=dict_row, autocommit=True, connect_timeout=5
        )
    return flask.g.db


@app.teardown_appcontext
def disconnect(_error):
    db = flask.g.pop("db", None)
    if db is not None:
        db.close()


@app.errorhandler(HTTPException)
def refuse(error):
    return {"error": error.description}, error.code


@app.get("/")
def greet():
    return {"greeting": GREETING}


@app.get("/health")
def health():
    try:
        database().execute("SELECT 1")
        queue.ping()
    except (psycopg.Error, redis.RedisError) as error:
        return {"status": "down", "error": str(error)}, 503
    return {"status": "ok"}


@app.get("/products")
def products():
    cached = queue.get("products")
    if cached is not None:
        return json.loads(cached), {"X-Cache": "hit"}
    rows = database().execute("SELECT id, name, cents FROM products ORDER BY id").fetchall()
    queue.set("products", json.dumps(rows), ex=CACHE_SECONDS)
    return rows, {"X-Cache": "miss"}


@app.get("/orders")
def orders():
    return database().execute(ORDERS + "ORDER BY o.id DESC LIMIT 20").fetchall()


@app.get("/orders/<int:number>")
def order(number):
    return find_order(number)


@app.post("/orders")
def place_order():
    wish = flask.request.get_json()
    if not isinstance(wish, dict):
        raise BadRequest("an order is an object: product and quantity")
    product = whole_number(wish, "product", 1, 2**31 - 1)
    quantity = whole_number(wish, "quantity", 1, 100)
    try:
        row = database().execute(
            "INSERT INTO orders (product, quantity) VALUES (%s, %s) RETURNING id", (product, quantity)
        ).fetchone()
    except psycopg.errors.ForeignKeyViolation:
        raise NotFound(f"there is no product {product}") from None
    # The order is safe now. Should the queue lose it, the worker finds it in the database, only later.
    queue.rpush("orders", row["id"])
    return find_order(row["id"]), 201


def find_order(number):
    found = None
    if number < 2**31:
        found = database().execute(ORDERS + "WHERE o.id = %s", (number,)).fetchone()
    if found is None:
        raise NotFound(f"there is no order {number}")
    return found


def whole_number(wish, key, lowest, highest):
    value = wish.get(key)
    # In Python True is a number, too.
    if type(value) is not int or not lowest <= value <= highest:
        raise BadRequest(f"{key} must be a whole number from {lowest} to {highest}")
    return value
