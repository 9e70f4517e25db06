//! What sysopt remembers between runs, and what follows from it. Pure: a state and an instant go
//! in, the next state comes out; `run` reads and writes it.

pub mod state;

#[cfg(test)]
mod laws;
