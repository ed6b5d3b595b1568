"""Creates what is missing in the database, and ends. devstack starts the API when this has ended well."""

import os
from pathlib import Path

import psycopg

schema = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=10) as db:
    db.execute(schema)
    (products,) = db.execute("SELECT count(*) FROM products").fetchone()
print(f"the schema is in place, {products} products")
