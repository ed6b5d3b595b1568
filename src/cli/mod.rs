//! Comes with its first commit.
