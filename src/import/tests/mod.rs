//! The files of other programs in `tests/corpus`, each with what becomes of it.

mod corpus;
mod hostile;
mod stack_text;
