mod laws;
mod rules;
mod world;
