mod random;
mod script;
mod traces;
