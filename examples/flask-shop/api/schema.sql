-- Run by migrate.py at every start: each statement must do no harm the second time.
CREATE TABLE IF NOT EXISTS products (
    id    integer PRIMARY KEY,
    name  text NOT NULL UNIQUE,
    cents integer NOT NULL CHECK (cents > 0)
);

CREATE TABLE IF NOT EXISTS orders (
    id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product  integer NOT NULL REFERENCES products,
    quantity integer NOT NULL CHECK (quantity BETWEEN 1 AND 100),
    status   text NOT NULL DEFAULT 'placed' CHECK (status IN ('placed', 'done')),
    placed   timestamptz NOT NULL DEFAULT now()
);

-- What the worker looks for when its queue is empty.
CREATE INDEX IF NOT EXISTS orders_placed ON orders (id) WHERE status = 'placed';

INSERT INTO products (id, name, cents) VALUES
    (1, 'Mug', 900),
    (2, 'Notebook', 450),
    (3, 'Umbrella', 1900)
ON CONFLICT (id) DO NOTHING;
