//! The whole-program tests, one program. This is their table of contents.

mod support;

mod actions;
mod bad_input;
mod change;
mod chaos;
mod control;
mod environment;
mod examples;
mod fixture;
mod harness;
mod health;
mod holders;
mod hostile;
mod layers;
mod lifecycle;
mod listeners;
mod live;
mod network;
mod nothing_left;
mod one_log;
mod passing;
mod plan;
mod ports;
mod presets;
mod reload;
mod reload_random;
mod restarts;
mod run;
mod selection;
mod stop_command;
mod storms;
mod sweep;
mod terminal;
mod tty;
mod usage;
