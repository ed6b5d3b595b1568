//! Tests of ports across processes.

mod stress;
