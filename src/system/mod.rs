//! Everything that is read off the machine: load, processes, and who holds which file.
