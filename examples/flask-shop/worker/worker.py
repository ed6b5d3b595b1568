"""Takes orders from a list in Redis and marks them as done in PostgreSQL.

It does not try to outlive the database or Redis: when one of them goes away it says so and ends, and devstack starts it
again.
"""

import os
import sys

import psycopg
import redis

# How long to wait for the queue before looking for orders that it lost.
IDLE_SECONDS = 5


def main():
    database_url, redis_url = os.environ["DATABASE_URL"], os.environ["REDIS_URL"]
    # The read must be allowed to take longer than BLPOP waits.
    queue = redis.Redis.from_url(redis_url, socket_timeout=IDLE_SECONDS * 2)
    with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as db:
        print("waiting for orders")
        finish_lost_orders(db)
        while True:
            item = queue.blpop("orders", timeout=IDLE_SECONDS)
            if item is None:
                finish_lost_orders(db)
            else:
                finish(db, int(item[1]))


def finish_lost_orders(db):
    """Redis keeps nothing over a restart; the database knows what is still to be done."""
    for (number,) in db.execute("SELECT id FROM orders WHERE status = 'placed' ORDER BY id").fetchall():
        finish(db, number)


def finish(db, number):
    """Harmless when the order is done already."""
    done = db.execute(
        """
        UPDATE orders o SET status = 'done' FROM products p
        WHERE o.id = %s AND o.status = 'placed' AND p.id = o.product
        RETURNING o.quantity, p.name
        """,
        (number,),
    ).fetchone()
    if done is not None:
        print(f"order {number} is done: {done[0]} x {done[1]}")


if __name__ == "__main__":
    try:
        main()
    except (psycopg.OperationalError, redis.ConnectionError, redis.TimeoutError) as error:
        sys.exit(f"lost the database or Redis: {error}")
