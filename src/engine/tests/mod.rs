mod awaited;
mod random;
mod script;
mod traces;
