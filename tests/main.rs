//! The whole-program tests, one program. This is their table of contents.

mod support;

mod fixture;
mod harness;
mod layers;
