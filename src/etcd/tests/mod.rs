//! Decisions case by case, then a world in which hosts are wiped and runs are killed at random.

mod decision;
mod simulation;
